#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# LABELS: cli crash
# TIMEOUT: 60
# At a terminal: one Ctrl-C lets the items that run end, tells once what is done and what failed, and exits with 130; a second one, or a second SIGTERM,
# ends all at once. Workers say nothing.
. "$(dirname "$0")/common.bash"
python=/usr/bin/python3
library f <<'C'
#include <fcntl.h>
#include <unistd.h>
int slow(const void *item, void *result, void *arg)
{
    const long i = *(const long *)item;
    (void)arg;
    *(double *)result = 1;
    usleep(10000);
    if (i >= 20 && i < 1000) /* behind the bad one */
        close(open("ran", O_CREAT | O_WRONLY, 0600));
    return i == 3 ? 7 : 0;
}
int minute(const void *item, void *result, void *arg)
{
    (void)item, (void)result, (void)arg;
    close(open("ran", O_CREAT | O_WRONLY, 0600));
    sleep(60);
    return 0;
}
C
# terminal.py HOW WORD...: runs WORD... on a terminal of its own, interrupts it once the file "ran" is there, and once more when it says that it waits. HOW: ^C, or a
# signal's number for the process alone. Prints what came on the terminal, then how it ended and how many processes are left in its group.
cat >terminal.py <<'PY'
import os, pty, select, signal, sys, time

how, words = sys.argv[1], sys.argv[2:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(words[0], words)


def interrupt():
    if how == "^C":
        os.write(terminal, b"\x03")
    else:
        os.kill(pid, int(how))


text, n_sent, waited_since = b"", 0, None
while True:
    if n_sent == 0 and os.path.exists("ran"):
        interrupt()
        n_sent = 1
    if n_sent == 1 and b"stopping" in text:
        waited_since = waited_since or time.monotonic()
        if time.monotonic() - waited_since > 0.2:
            interrupt()
            n_sent = 2
    if select.select([terminal], [], [], 0.02)[0]:
        try:
            got = os.read(terminal, 4096)
        except OSError:
            break
        if not got:
            break
        text += got
status = os.waitpid(pid, 0)[1]
sys.stdout.write(text.decode().replace("\r\n", "\n").replace("\r", "\n").replace("\033[K", "").replace("^C", ""))
print("signal" if os.WIFSIGNALED(status) else "exit", os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
for _ in range(100):
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        break
    time.sleep(0.02)
else:
    print("a process is left")
PY

at_terminal() {
    rm -f ran
    $python -I -S terminal.py "$@" >stdout 2>stderr || fail "the terminal: $*"
    ! grep -q "a process is left" stdout || fail "$*: a process is left"
    absent out.npy
}

once() {
    [ "$(grep -cE -- "$1" stdout)" = 1 ] || fail "not once: $1"
}

for how in "^C SIGINT 130" "15 SIGTERM 143"; do
    read -r word name code <<<"$how"
    at_terminal "$word" "$FORKMAP" map ./f.so:slow range:0:100000 --out f8: -o out.npy --on-error continue
    once "^item 3: the function returned 7 \(worker"
    once "^forkmap: stopped by $name: [0-9]+ of 100000 items done, 1 failed: 1 returned 7; nothing was written$"
    once "^  --journal FILE keeps what is done for the next time$"
    once "^[0-9]+ of 100000 items in "
    once "^exit $code$"
    grep -vE '^$|^ *[0-9]+% |^item 3: |^forkmap: stop|^  --journal FILE |^[0-9]+ of 100000 items in |^exit ' stdout >rest &&
        fail "what is this: $(cat rest)"
    at_terminal "$word" "$FORKMAP" map ./f.so:minute range:0:100000 --out f8: -o out.npy
    once "^forkmap: stopping: "
    once "^signal $((code - 128))$"
    ! grep -q "items in\|stopped by" stdout || fail "it did not end at once"
done
exit 0
