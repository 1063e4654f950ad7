"""Sheets, columns and words of the CJJ 181 table in two languages, shared by its writer and its reader."""

from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = ("en", "zh")
DEFECTS, SEGMENTS, GRADES, CHOICES = "defects", "segment", "grades", "choices"
STRUCK = "-"
"""Entry in place of a grade: the person saw no such defect."""


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: its name in the code.
        en: English heading, by which the column is recognised.
        zh: Chinese heading.
        width: width in characters.
        person: whether a person fills it in or may change it.
    """

    key: str
    en: str
    zh: str
    width: int
    person: bool = False

    def heading(self, language: Language) -> str:
        """Return both headings, that in `language` first."""
        return f"{self.zh} / {self.en}" if language == "zh" else f"{self.en} / {self.zh}"


DEFECT_COLUMNS = (
    Column("segment", "segment", "管段", 11, person=True),
    Column("video", "video", "视频", 20),
    Column("code", "code", "代码", 7, person=True),
    Column("name", "name", "名称", 18),
    Column("kind", "kind", "类别", 11),
    Column("time", "time", "时间", 10),
    Column("distance", "distance m", "距离 m", 10, person=True),
    Column("length", "length m", "缺陷长度 m", 10, person=True),
    Column("grade", "grade", "等级", 8, person=True),
    Column("clock", "clock", "时钟位置", 10, person=True),
    Column("confidence", "confidence", "置信度", 11),
    Column("triage", "triage", "判定", 12),
    Column("picture", "picture", "图片", 16),
    Column("source", "source", "来源", 22),
    Column("remark", "remark", "备注", 32),
)
SEGMENT_COLUMNS = (
    Column("segment", "segment", "管段", 12, person=True),
    Column("video", "video", "视频", 26),
    Column("length", "length m", "管段长度 m", 14, person=True),
    Column("diameter", "diameter mm", "管径 mm", 14, person=True),
    Column("region", "region K", "地区 K", 36, person=True),
    Column("soil", "soil T", "土质 T", 30, person=True),
    Column("reviewer", "reviewed by", "复核人", 20, person=True),
    Column("remark", "remark", "备注", 44),
)

WORDS: dict[str, dict[Language, str]] = {
    "structural": {"en": "structural", "zh": "结构性"},
    "functional": {"en": "functional", "zh": "功能性"},
    "normal": {"en": "normal", "zh": "正常"},
    "downstream": {"en": "with the flow", "zh": "顺流"},
    "upstream": {"en": "against the flow", "zh": "逆流"},
    "accept": {"en": "accept", "zh": "接受"},
    "review": {"en": "review", "zh": "待看"},
    "reject": {"en": "reject", "zh": "未采纳"},
    "unlikely": {"en": "review, unlikely", "zh": "待看，可能性低"},
    "proposal": {"en": "proposal by software, not reviewed", "zh": "软件建议，未经人工复核"},
    "demonstration": {
        "en": "demonstration model, trained on simulated videos: do not rely on it",
        "zh": "演示模型，仅以仿真视频训练：不可依赖",
    },
    "reviewed": {"en": "reviewed by {who}, {date}", "zh": "已复核：{who}，{date}"},
    "unsure": {"en": "unsure", "zh": "不确定"},
    "second_opinion": {"en": "waits for a second opinion", "zh": "等待他人意见"},
    "uncalibrated": {"en": "confidence not calibrated", "zh": "置信度未校准"},
    "head": {
        "en": "Proposal by software, not reviewed: all codes below were made by software. A person gives the grades.",
        "zh": "软件建议，未经人工复核（proposal by software, not reviewed）：以下代码均由软件给出，等级由人工填写。",
    },
    "head_reviewed": {
        "en": "Reviewed by the people named in 'source'. Rows marked there as proposals by software were not reviewed.",
        "zh": "由“来源”栏所列人员复核。该栏标为软件建议的行未经人工复核（proposal by software, not reviewed）。",
    },
    "how": {
        "en": "Fill in the yellow cells. Code: correct it if it is wrong. Grade: see the sheet 'grades', or enter - if "
        "there is no such defect. Distance: metres from the start of the inspection; check values read from the "
        "picture. Length: for a continuous defect; leave it empty for a point defect. Add rows for missed defects.",
        "zh": "黄色单元格由人工填写。代码：有误请改正。等级：见 grades 表；不是缺陷填 -。距离：距检测起点的米数，"
        "自动读取的须核对。缺陷长度：连续缺陷填写，点状缺陷留空。软件漏检的缺陷请加行。",
    },
    "segments": {
        "en": "Fill in one row per segment; one per video is proposed. Rename segments here and in 'defects' to match "
        "your drawings. E follows from the diameter. 'Reviewed by' names the person responsible for grades and data.",
        "zh": "每个管段一行，由人工填写；默认每个视频一个管段。请按图纸在本表和 defects 表中改名。E 由管径得出。"
        "“复核人”对等级和数据负责。",
    },
    "no_time": {"en": "no time: predicted for the video as a whole", "zh": "无时间：由整段视频判断"},
    "read_at": {"en": "distance read at", "zh": "距离读取于"},
    "picture_at": {"en": "picture at", "zh": "图片取自"},
    "read_as": {"en": "distance read as", "zh": "距离读作"},
    "not_in_rules": {"en": "code not in CJJ 181", "zh": "代码不在 CJJ 181 中"},
    "model": {"en": "model: {names}", "zh": "模型：{names}"},
    "meaning": {"en": "meaning", "zh": "含义"},
    "value": {"en": "value", "zh": "取值"},
    "score": {"en": "score", "zh": "分值"},
    "diameter": {"en": "diameter mm", "zh": "管径 mm"},
    "recorded": {"en": "recorded, not scored", "zh": "只记录，不计分"},
}


def word(key: str, language: Language) -> str:
    """Return a fixed word or sentence; a key without an entry is returned unchanged."""
    return WORDS[key][language] if key in WORDS else key
