"""The sides of a measurement: programs that take turns, one repetition at a time. Standard library only."""
import json
import os
import selectors
import subprocess
import tempfile
import time


def openmp(threads):
    """Few spins at a barrier: a thread that lost its processor to someone else must not hold the other up for long."""
    return {"OMP_NUM_THREADS": str(threads), "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "1000")}


def failure(command, code, errors):
    """What a command that ended badly said, for whoever started it."""
    errors.seek(0)
    return RuntimeError(f"{' '.join(command)} ended with {code}: {errors.read().strip()[-2000:]}")


def open_errors():
    return tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")


class Worker:
    """A program that does one repetition for each line it is given; see bench-kit.h."""

    def __init__(self, command, **environment):
        self.command = [str(part) for part in command]
        self.errors = open_errors()
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        text=True, env=dict(os.environ, **environment))
        self.summary = self.answer()["ready"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise failure(self.command, self.process.wait(), self.errors)
        return json.loads(line)

    def once(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()
        self.errors.close()


class Start:
    """A command from its start to its first output; its files leave the page cache where the kernel lets go of them."""

    def __init__(self, command, files, **environment):
        self.command, self.files = [str(part) for part in command], files
        self.environment = dict(os.environ, **environment)
        self.summary = os.path.basename(self.command[0])

    def forget(self):
        for path in self.files:
            handle = os.open(path, os.O_RDONLY)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(handle)

    def once(self):
        self.forget()
        with open_errors() as errors:
            begin = time.monotonic()
            process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=errors, env=self.environment)
            with selectors.DefaultSelector() as selector:
                selector.register(process.stdout, selectors.EVENT_READ)
                selector.select()
            seconds = time.monotonic() - begin
            process.stdout.read()
            process.stdout.close()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise failure(self.command, process.returncode, errors)
        cpu = used.ru_utime + used.ru_stime
        return {"seconds": seconds, "cpu": cpu, "prompt": 0, "reply": 1, "peak_kib": used.ru_maxrss}

    def close(self):
        pass


def measure(sides, rounds):
    """{name: samples}: after one repetition of each that does not count, all sides take turns."""
    taken = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            sample = side.once()
            if number > 0:
                taken[name].append(sample)
    return taken
