"""Read text that people and their programs wrote, in whichever encoding: the one reader of text for input files."""

import re
from pathlib import Path

from urbanpipe.errors import LabelError, UrbanpipeError

MAX_BYTES = 256 << 20
INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"))
"""Characters without a width, which programs leave in names and cells, for `str.translate`."""
_SAMPLE = 1 << 16
_MIN_NUL_SHARE = 0.2  # of the bytes of UTF-16 text without a byte order mark; plain text has no NUL
_MIN_COMMON = 0.2  # share of frequent characters in a right reading
_IN_WIDE_USE = re.compile("[\u00c0-\u017f\u0391-\u03c9\u0401\u0410-\u0451\u05d0-\u05ea\u0621-\u064a]")
_LAST_OF_TWO_BYTES = "\u07ff"
_MIN_LEAD = 2  # times as many frequent characters as the other reading has
# frequent characters in file names, addresses and sewer inspections, simplified and traditional
_FREQUENT = frozenset(
    "的一是不了在人有我他这個个们中来來上大为為和国國地到以说說时時要就出会會可也你对對生能而子那得于於着下自之年过過发發后後作里裡用道行所然家种種事成方多"
    "经經么麼去法学學如都同现現当當没沒动動面起看定天分还還进進好小部其些主样樣理心本前开開但因只从從想实實日军軍者意无無力它与與长長把机機十民第公此已工使情"
    "明性知全三又关關点點正业業外将將两兩高间間由问問很最重并物手应應战戰向头頭文体體政美相见見被利什二等产產或新己制身果加西斯月话話合回特代内內信表化老给給"
    "世位次度门門任常先海通教儿兒原东東声聲提立及比员員解水名真论論处處走义義各入几幾口认認条條平系气氣题題活尔爾更别別打女变變四神总總何电電数數安少报報才结結"
    "管网網检檢测測视視频頻错錯破裂形沉积積垢树樹根障碍礙异異穿腐蚀蝕浮渣支暗接残殘墙牆坝壩渗滲漏脱脫节節材料落井段污雨街路号號南北巷桥橋河江湖湾灣镇鎮村县縣市区區"
    "州城园園花和平建设設解放胜勝利民主站厂廠院校库庫塔楼樓广廣场場山石金木火土春夏秋冬左右五六七八九百千万萬直径徑米深流向编編码碼标標签籤类類缺陷影像录錄文件"
)


def read_text(
    path: Path, *, error: type[UrbanpipeError] = LabelError, what: str = "", max_bytes: int = MAX_BYTES
) -> str:
    """Return the text of a file: UTF-8, UTF-16, GB18030 (with GBK) or Big5, without its byte order mark.

    Args:
        path: the file.
        error: the kind of error to raise.
        what: what the file is, for messages, such as `the taxonomy`.
        max_bytes: largest size.

    Raises:
        UrbanpipeError: the file cannot be read or is larger, or its encoding cannot be told.
    """
    text = decoded(read_bytes(path, error=error, what=what, max_bytes=max_bytes))
    if text is None:
        raise error(
            f"{path} is not UTF-8 text and its encoding is unknown; in Excel, choose File > Save As > "
            '"CSV UTF-8 (Comma delimited) (*.csv)", in an editor save it as UTF-8'
        )
    return text


def read_bytes(
    path: Path, *, error: type[UrbanpipeError] = LabelError, what: str = "", max_bytes: int = MAX_BYTES
) -> bytes:
    """Return the bytes of a file; arguments as for `read_text`.

    Raises:
        UrbanpipeError: the file cannot be read or is larger.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
    except OSError as problem:
        raise error(f"cannot read {f'{what} ' if what else ''}{path}: {problem.strerror}") from problem
    if len(data) > max_bytes:
        raise error(f"{path} has more than {max_bytes >> 20} MB; is it the right file?")
    return data


def decoded(data: bytes) -> str | None:
    """Return the text of bytes, or None if its encoding cannot be told."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decoded(data, "utf-16")
    if data[:_SAMPLE].count(0) > _MIN_NUL_SHARE * len(data[:_SAMPLE]):
        little = data[1:_SAMPLE:2].count(0) > data[0:_SAMPLE:2].count(0)
        return _decoded(data, "utf-16-le" if little else "utf-16-be")
    text = _decoded(data, "utf-8-sig")
    if text is None or _is_chinese_by_chance_utf8(data, text):
        return _chinese(data)
    return text


def _is_chinese_by_chance_utf8(data: bytes, text: str) -> bool:
    """Return whether valid UTF-8 is GB18030: `\u4e00` there is the two bytes of a rare Cyrillic letter here."""
    letters = {letter for letter in set(text) if letter.isalpha() and not letter.isascii()}
    if not letters or max(letters) > _LAST_OF_TWO_BYTES or any(map(_IN_WIDE_USE.match, letters)):
        return False
    chinese = _decoded(data, "gb18030") or ""
    return 2 * _frequent(chinese) >= max(1, sum(not letter.isascii() for letter in chinese))


def _chinese(data: bytes) -> str | None:
    """Return the reading as GB18030 or Big5 that has many frequent characters, if the other has few."""
    readings = [_decoded(data, encoding) for encoding in ("gb18030", "cp950")]
    (best, text), (other, _) = sorted(((_frequent(text), text or "") for text in readings), reverse=True)
    letters = sum(not letter.isascii() for letter in text)
    return text if best >= max(1, _MIN_COMMON * letters) and best >= _MIN_LEAD * other else None


def _frequent(text: str | None) -> int:
    return sum(letter in _FREQUENT for letter in text) if text else 0


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None
