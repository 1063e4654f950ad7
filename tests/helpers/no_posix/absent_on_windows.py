"""Modules, functions and signals of Linux that Windows does not have, as far as Linux's own libraries live without."""

_FUNCTIONS = """
    chown chroot confstr ctermid fchmod fchown fork forkpty getegid geteuid getgid getgroups getloadavg getpgid getpgrp
    getpriority getresuid getsid getuid initgroups killpg lchown mkfifo mknod nice pathconf posix_fadvise
    posix_fallocate posix_spawn sched_getaffinity sched_setaffinity sched_yield setgid setpgid setpriority setsid setuid
    statvfs sync tcgetpgrp ttyname wait3 wait4
"""
_OF_SIGNAL = """
    alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt sigpending sigtimedwait sigwait
    SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2
"""
MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
NAMES = {"os": set(_FUNCTIONS.split()), "signal": set(_OF_SIGNAL.split())}
