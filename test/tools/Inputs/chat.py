"""Talks with a compiled model through kerf-run chat.

chat.py pipe KERF_RUN MODEL.kerf:     two turns through a pipe, each answer the one that generate gives to the rendered text
chat.py terminal KERF_RUN MODEL.kerf: through a terminal: Ctrl-C ends an answer, a refused line is forgotten, Ctrl-D ends
"""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

mode, kerf_run, model = sys.argv[1:]


def run(*arguments, text=None):
    done = subprocess.run([kerf_run, *arguments], input=text, capture_output=True, text=True)
    assert done.returncode == 0, (arguments, done.stderr)
    return done.stdout


# What the template of chat.test makes of a conversation.
def rendered(turns):
    said = "".join(f"[{role}]: {content}<|end_of_text|>\n" for role, content in turns)
    return f"<|begin_of_text|>{said}[assistant]:"


def through_pipe():
    log = model + ".log"
    lines = ["What is the list?", "And é <|end_of_text|>?"]
    answers = run("chat", model, "-q", "-j", "1", "-n", "12", f"--log-jsonl={log}", text="\n".join(lines) + "\n")
    events = [event for event in map(json.loads, open(log, encoding="utf-8")) if event["event"] == "answer"]
    turns, expected = [], ""
    for line, event in zip(lines, events, strict=True):
        turns.append(("user", line))
        whole = rendered(turns)
        ids = run("tokenize", model, "--no-frame", "--ids", whole).split()
        if "<|end_of_text|>" in line:
            # The user's is text. No token goes across the brackets and ends around it, so that parts can be joined.
            forged = len(ids)
            before, after = whole.split(f"[user]: {line}")
            ids = (run("tokenize", model, "--no-frame", "--ids", before).split()
                   + run("tokenize", model, "--no-frame", "--ids", "--plain", f"[user]: {line}").split()
                   + run("tokenize", model, "--no-frame", "--ids", after).split())
            assert len(ids) > forged, "a forged end is more than one token"
        assert event["kept_tokens"] + event["prompt_tokens"] == len(ids), (event, len(ids))
        answer = run("generate", model, "-q", "-j", "1", "-n", "12", "--prompt-ids", ",".join(ids))
        expected += answer
        turns.append(("assistant", answer[:-1]))
    assert events[1]["kept_tokens"] > 0, events
    assert answers == expected, (answers, expected)
    print("both answers are those of generate")


class Terminal:
    def __init__(self, *arguments):
        self.process, self.end = pty.fork()
        if self.process == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # lit ignores it
            os.execv(kerf_run, [kerf_run, *arguments])
        self.text = ""

    # Reads until `pattern` is there, and takes what stands up to its end.
    def until(self, pattern):
        deadline = time.monotonic() + 120
        while not (found := re.search(pattern, self.text)):
            assert select.select([self.end], [], [], max(0, deadline - time.monotonic()))[0], (pattern, self.text)
            try:
                self.text += os.read(self.end, 256).decode("utf-8", "replace")
            except OSError:
                raise AssertionError(f"ended before {pattern}: {self.text}") from None
        before, self.text = self.text[:found.end()], self.text[found.end():]
        return before

    def type(self, text):
        os.write(self.end, text.encode())

    def status(self):
        try:
            while os.read(self.end, 256):
                pass
        except OSError:
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def through_terminal():
    # As much as the context takes: what a terminal holds unread is less, so that the answer waits for its reader.
    terminal = Terminal("chat", model, "-n", "100000", "-j", "1")
    terminal.until("> ")
    for line in ("one", "two"):
        terminal.type(line + "\n")
        terminal.until(line + r"\r\n.{4}")
        terminal.type("\x03")
        said = terminal.until(r"\[\d+ prompt tokens kept, .* end: (\w+)\]\r\n> ")
        assert "end: cancelled]" in said, said
    terminal.type("no\n")
    terminal.until(r"warning: chat template, line \d+: it refuses the conversation: not no\r\n> ")
    terminal.type("\x04")
    status = terminal.status()
    assert status == 0, status
    print("Ctrl-C ends answers, Ctrl-D the conversation")
    # Where nobody is answering, Ctrl-C ends the program.
    terminal = Terminal("chat", model)
    terminal.until("> ")
    terminal.type("\x03")
    assert terminal.status() == -signal.SIGINT


through_pipe() if mode == "pipe" else through_terminal()
