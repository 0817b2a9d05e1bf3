"""A small workspace in a git repository, and the many ways in which it can change."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path


def git(root: Path, *arguments: str) -> None:
    """Run git there, silently, as somebody.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    who = ["-c", "user.name=x", "-c", "user.email=x@example.invalid", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(root), *who, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class World:
    """Changes itself at random, most of the time to something that was not there before."""

    def __init__(self, home: Path, rng: random.Random) -> None:
        self.home, self.root, self._rng = home, home / "ws", rng
        self._count = 0
        for folder in ("pkg/sub", "tests", "data"):
            (self.root / folder).mkdir(parents=True)
            for n in range(8):
                (self.root / folder / f"m{n}.py").write_text(f"x = {n}\n")
        for release in ("a", "b"):
            (home / "releases" / release).mkdir(parents=True)
            (home / "releases" / release / "version.txt").write_text(release)
        (self.root / "current").symlink_to(home / "releases" / "a")
        (self.root / "latest.txt").symlink_to(home / "releases" / "a" / "version.txt")
        (self.root / "ruff.toml").write_text("line-length = 100\n")
        self._git = shutil.which("git")
        if self._git:
            git(self.root, "init", "-q", "-b", "main")
            git(self.root, "add", "-A")
            git(self.root, "commit", "-q", "-m", "one")
            git(self.root, "branch", "other")
        self._changes: dict[str, Callable[[], object]] = {
            "append": self._append,
            "same size, times set back": self._same_size,
            "touch": self._touch,
            "text put back": self._put_back,
            "mode": self._mode,
            "mode put back": self._mode_back,
            "rename over": self._rename_over,
            "delete": self._delete,
            "new file": self._new_file,
            "new folder": self._new_folder,
            "folder moved": self._move_folder,
            "folder deleted": self._delete_folder,
            "link turned": self._turn_link,
            "file behind a link": self._behind_link,
            "configuration": self._configuration,
            "configuration above": self._configuration_above,
            "hard link": self._hard_link,
            "ignored file": self._ignored,
        }

    def change(self) -> str:
        """Make one change and say of which kind."""
        self._count += 1
        if self._git and self._rng.random() < 0.01:
            self._switch()
            return "branch"
        name = self._rng.choice(list(self._changes))
        self._changes[name]()
        return name

    def _switch(self) -> None:
        """A commit of what there is, and the other branch, whose files are different."""
        git(self.root, "add", "-A")
        git(self.root, "commit", "-q", "--allow-empty", "-m", str(self._count))
        with open(self.root / ".git" / "HEAD") as head:
            other = "other" if head.read().strip().endswith("main") else "main"
        git(self.root, "checkout", "-q", other)

    def _any(self) -> Path:
        """One of the files; there is always one."""
        found = [
            Path(folder) / name for folder, _, names in os.walk(self.root) for name in names if name.endswith(".py")
        ]
        found = sorted(path for path in found if ".git" not in path.parts)
        if not found:
            return self._new_file()
        return self._rng.choice(found)

    def _folder(self) -> Path:
        found = sorted(path for path in self.root.iterdir() if path.is_dir() and path.name not in (".git", "current"))
        return self._rng.choice(found) if found else self._new_folder()

    def _append(self) -> None:
        with self._any().open("a") as file:
            file.write(f"# {self._count}\n")

    def _same_size(self) -> None:
        path = self._any()
        before = path.stat()
        path.write_text(f"{self._count:0{max(before.st_size, 8)}d}"[-before.st_size :] if before.st_size else "")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _touch(self) -> None:
        os.utime(self._any())

    def _put_back(self) -> None:
        path = self._any()
        text = path.read_text()
        path.write_text("x")
        path.write_text(text)

    def _mode(self) -> None:
        path = self._any()
        path.chmod(path.stat().st_mode ^ 0o111)

    def _mode_back(self) -> None:
        path = self._any()
        path.chmod(path.stat().st_mode ^ 0o100)
        path.chmod(path.stat().st_mode ^ 0o100)

    def _rename_over(self) -> None:
        path = self._any()
        new = path.with_suffix(".new")
        new.write_text(f"new = {self._count % 30}\n")
        os.replace(new, path)

    def _delete(self) -> None:
        self._any().unlink()

    def _new_file(self) -> Path:
        path = self._folder() / f"n{self._count % 20}.py"
        path.write_text(f"n = {self._count % 7}\n")
        return path

    def _new_folder(self) -> Path:
        path = self.root / f"d{self._count % 5}"
        (path / "deep").mkdir(parents=True, exist_ok=True)
        (path / "deep" / "n.py").write_text(f"{self._count}\n")
        return path

    def _move_folder(self) -> None:
        folder = self._folder()
        target = self.root / f"moved{self._count % 3}"
        if not target.exists():
            folder.rename(target)

    def _delete_folder(self) -> None:
        if self._rng.random() < 0.3:
            shutil.rmtree(self._folder())

    def _turn_link(self) -> None:
        new = self.home / "new-link"
        new.symlink_to(self.home / "releases" / self._rng.choice("ab"))
        os.replace(new, self.root / "current")

    def _behind_link(self) -> None:
        (self.home / "releases" / self._rng.choice("ab") / "version.txt").write_text(f"{self._count % 30}")

    def _configuration(self) -> None:
        (self.root / "ruff.toml").write_text(f"line-length = {self._rng.randrange(80, 120)}\n")

    def _configuration_above(self) -> None:
        path = self.home / "pyproject.toml"
        if path.exists() and self._rng.random() < 0.5:
            path.unlink()
        else:
            path.write_text(f"# {self._rng.randrange(10)}\n")

    def _hard_link(self) -> None:
        path = self._any()
        target = path.with_name(f"twin{self._count % 3}.py")
        if not target.exists():
            os.link(path, target)
        target.write_text(f"twin = {self._count}\n")

    def _ignored(self) -> None:
        folder = self._folder() / "__pycache__"
        folder.mkdir(exist_ok=True)
        (folder / "x.pyc").write_text(str(self._count))
