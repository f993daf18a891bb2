"""A real MediaWiki for the tests: Debian's package, installed with SQLite into a temporary directory and served by PHP itself.

    apt-get install --no-install-recommends php-cli php-sqlite3 php-mbstring php-xml php-intl
    apt-get install mediawiki                        # or, as .ci/run does, without the web server that this brings along:
    apt-get download mediawiki mediawiki-classes && for f in mediawiki*.deb; do dpkg-deb -x $f .mediawiki; done

`FTBUILD_MEDIAWIKI` names another copy of MediaWiki's files.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.helpers import REPOSITORY

INSTALLED = Path("/usr/share/mediawiki")
UNPACKED = REPOSITORY / ".mediawiki" / "usr" / "share" / "mediawiki"
HOME = Path(os.environ.get("FTBUILD_MEDIAWIKI") or (UNPACKED if UNPACKED.is_dir() else INSTALLED))
EXTENSIONS = ("sqlite3", "mbstring", "xml", "intl")
_SETTINGS = """
$wgRightsUrl = "https://creativecommons.org/licenses/by-sa/4.0/";
$wgRightsText = "CC BY-SA 4.0";
$wgJobRunRate = 0;
$wgLanguageCode = "de";
$wgEnableUploads = false;
if ( isset( $_SERVER["HTTP_HOST"] ) ) { $wgServer = "http://" . $_SERVER["HTTP_HOST"]; }
if ( getenv( "WIKI_PRIVATE" ) ) { $wgGroupPermissions["*"]["read"] = false; }
"""


def lacking() -> str:
    """Say what keeps a MediaWiki from running here, if anything does."""
    if not (HOME / "maintenance" / "install.php").is_file():
        return f"there is no MediaWiki in {HOME}; tests/wiki.py says how to get one"
    if not (php := shutil.which("php")):
        return "there is no php; Debian's package `php-cli` brings it"
    loaded = subprocess.run([php, "-m"], capture_output=True, text=True, check=False).stdout.split()
    missing = [f"php-{name}" for name in EXTENSIONS if name not in loaded]
    return f"PHP lacks {', '.join(missing)}" if missing else ""


@dataclass
class Mediawiki:
    """A wiki in a folder.  `serve` starts a server of it, of which `asked` tells the requests."""

    folder: Path
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def install(cls, folder: Path) -> Mediawiki:
        """Install a wiki with an administrator."""
        wiki = cls(folder)
        wiki.run(
            "install.php", "--dbtype=sqlite", f"--dbpath={folder}/data", "--dbname=wiki", f"--confpath={folder}", "--lang=de",
            "--server=http://127.0.0.1", "--scriptpath=", "--pass=a long password", "--skins=", "Testwiki", "Admin", new=True,
        )  # fmt: skip
        with (folder / "LocalSettings.php").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS)
        return wiki

    def run(self, script: str, *words: str, text: str = "", new: bool = False) -> str:
        """Run one of MediaWiki's maintenance scripts and return what it prints."""
        variables = {**os.environ, **({} if new else {"MW_CONFIG_FILE": str(self.folder / "LocalSettings.php")})}
        command = ["php", str(HOME / "maintenance" / script), *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=variables, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def edit(self, title: str, text: str) -> None:
        """Save a page."""
        self.run("edit.php", "--user=Admin", "--summary=", title, text=text)

    def move(self, old: str, new: str) -> None:
        """Give a page another title."""
        self.run("moveBatch.php", "--u=Admin", text=f"{old}|{new}\n")

    def load(self, pages: dict[str, str]) -> None:
        """Save many pages at once, as an import."""
        told = "".join(
            f"<page><title>{title}</title><ns>0</ns><revision><timestamp>2026-11-0{1 + n % 9}T12:00:00Z</timestamp>"
            f'<contributor><username>Admin</username></contributor><model>wikitext</model><text xml:space="preserve">{text}'
            "</text></revision></page>"
            for n, (title, text) in enumerate(pages.items())
        )
        file = self.folder / "import.xml"
        file.write_text(f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11">{told}</mediawiki>')
        self.run("importDump.php", "--no-updates", str(file))
        self.run("rebuildall.php")

    def bot(self, name: str, password: str) -> str:
        """Give the administrator a bot password, of 32 characters or more, and return whom to log in as."""
        self.run("createBotPassword.php", f"--appid={name}", "--grants=basic", "Admin", password)
        return f"Admin@{name}"

    def serve(self, *, private: bool = False) -> str:
        """Start a server and return the address of the wiki."""
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
        variables = {**os.environ, "MW_CONFIG_FILE": str(self.folder / "LocalSettings.php")}
        variables |= {"WIKI_PRIVATE": "1"} if private else {}
        log = (self.folder / f"{port}.log").open("wb")
        with log:
            command = ["php", "-S", f"127.0.0.1:{port}", "-t", str(HOME)]
            self.servers.append(subprocess.Popen(command, stdout=log, stderr=log, env=variables))
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as trying:
                if trying.connect_ex(("127.0.0.1", port)) == 0:
                    return f"http://127.0.0.1:{port}"
            time.sleep(0.02)
        raise AssertionError((self.folder / f"{port}.log").read_text())

    def asked(self, url: str) -> list[dict[str, str]]:
        """Return the parameters of the requests that a server was sent, as its log tells them."""
        log = (self.folder / f"{urlsplit(url).port}.log").read_text(encoding="utf-8", errors="replace")
        paths = re.findall(r"\[\d{3}\]: (?:GET|POST) (\S+)", log)
        return [dict(parse_qsl(urlsplit(path).query)) for path in paths]

    def stop(self) -> None:
        """End all servers."""
        for server in self.servers:
            server.terminate()
            server.wait()
