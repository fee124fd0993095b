"""Builds the root file system of a container: the program, and of Debian 13 only what it loads.

There is no shell, no package manager and no other user's program in it. Debian's packages are unpacked and not
configured, so nothing of the container's processor is run, and no privilege is needed. The same packages yield the
same files.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from station.configuration.installation_choices import SERVICE_STORAGE
from tools.delivery.bill_of_materials import MD5_SUMS, image_bill_of_materials
from tools.delivery.debian_package import lay_out_program
from tools.delivery.program_environment import compile_modules
from tools.delivery.root_file_system import SUITE, debian_sources, path_filters
from tools.delivery.source_tree import SourceTree, run

USER: Final = 10001
"""number of the user and of the group `borne` in every container, also outside for the files of its volumes"""
_PACKAGES: Final = ("base-files", "ca-certificates", "libc-bin", "netbase", "python3", "tzdata")
_ONLY_TO_CONFIGURE: Final = frozenset(
    {
        *("base-passwd", "debconf", "dpkg", "libacl1", "libdebconfclient0", "libmd0", "libpcre2-8-0", "libselinux1"),
        *("mawk", "tar"),
    }
)
"""packages that others need to be installed or configured, which does not happen here"""
_NOT_NEEDED: Final = (
    *("boot", "home", "media", "mnt", "opt", "srv", "usr/games", "usr/include", "usr/local", "usr/src"),
    *("etc/apt", "etc/alternatives", "etc/cron.daily", "etc/debconf.conf", "etc/dpkg", "etc/fstab", "etc/hostname"),
    *("etc/issue", "etc/issue.net", "etc/logrotate.d", "etc/resolv.conf", "etc/skel", "etc/update-motd.d"),
    *("usr/bin/pdb3*", "usr/bin/pydoc3*", "usr/bin/pygettext3*", "usr/bin/py3*", "usr/bin/c_rehash", "usr/sbin/*"),
    *("usr/bin/catchsegv", "usr/bin/ldd", "usr/bin/localedef", "usr/bin/tzselect"),
    *("usr/lib/python3.13/ensurepip", "usr/lib/python3.13/idlelib", "usr/lib/python3.13/pydoc_data"),
    *("usr/share/bash-completion", "usr/share/bug", "usr/share/debconf", "usr/share/doc-base", "usr/share/info"),
    *(
        "usr/share/doc/*/examples",
        "usr/share/lintian",
        "usr/share/locale",
        "usr/share/man",
        "usr/share/menu",
        "usr/share/perl5",
    ),
    *("usr/share/pixmaps", "usr/share/applications", "usr/share/python3", "usr/share/base-files"),
    *("var/backups", "var/cache", "var/lib/apt", "var/lib/dpkg", "var/local", "var/log", "var/mail", "var/opt"),
    "var/spool",
)
_USERS: Final = f"""\
root:x:0:0:root:/root:/nonexistent
borne:x:{USER}:{USER}:Charging station:{SERVICE_STORAGE}:/nonexistent
nobody:x:65534:65534:nobody:/nonexistent:/nonexistent
"""
_GROUPS: Final = f"root:x:0:\ndialout:x:20:\nborne:x:{USER}:\nnogroup:x:65534:\n"
_NAME_SERVICES: Final = "passwd: files\ngroup: files\nhosts: files dns\nprotocols: files\nservices: files\n"


def build_container_root(source: SourceTree, architecture: str, target: Path) -> None:
    """Write the root file system for a processor into the new folder `target`.

    Raises:
        DeliveryError: a tool is missing or fails.
    """
    with tempfile.TemporaryDirectory() as name:
        archives = Path(name)
        archives.chmod(0o755)  # apt downloads as a user of its own
        _unpack_debian(source, architecture, target, archives)
        _clean(target)
        _record_packages(target, archives)
    _configure(target)
    compile_modules(source, target / "usr/lib/python3.13", "/usr/lib/python3.13")
    lay_out_program(source, architecture, target)
    (target / "opt/borne/current").symlink_to(source.version)
    (target / "usr/bin/borne").symlink_to("/opt/borne/current/bin/borne")
    bill = image_bill_of_materials(source, target, architecture)
    (target / "usr/share/doc/borne/bill-of-materials.cdx.json").write_text(bill, encoding="utf-8")


def _unpack_debian(source: SourceTree, architecture: str, target: Path, archives: Path) -> None:
    """Unpack the packages that the container needs; their archives are kept in a folder."""
    mode = "root" if os.geteuid() == 0 else "chrootless"  # neither runs a program of the packages
    run(
        *("mmdebstrap", "--variant=extract", f"--mode={mode}", "--format=directory", *path_filters()),
        *(f"--architectures={architecture}", f"--include={','.join(_PACKAGES)}"),
        f"--extract-hook=cp $1/var/cache/apt/archives/*.deb {archives}",
        *(SUITE, target, *debian_sources()),
        environment={**os.environ, **source.environment()},
    )
    for archive in sorted(archives.glob("*.deb")):
        if archive.name.split("_")[0] in _ONLY_TO_CONFIGURE:
            _remove_content(archive, target)
            archive.unlink()


def _remove_content(archive: Path, target: Path) -> None:
    """Remove the files of a package; folders stay, which others may use."""
    for line in run("sh", "-c", f"dpkg-deb --fsys-tarfile {archive} | tar --list").splitlines():
        file = target / line
        if file.is_symlink() or file.is_file():
            file.unlink()


def _clean(target: Path) -> None:
    """Remove what the program does not load; /etc/resolv.conf and the like come from the container's engine."""
    for pattern in _NOT_NEEDED:
        for found in target.glob(pattern):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink()
    for folder in ("dev", "proc", "sys", "root", "run", "tmp"):
        shutil.rmtree(target / folder, ignore_errors=True)
        (target / folder).mkdir()
    (target / "tmp").chmod(0o1777)


def _record_packages(target: Path, archives: Path) -> None:
    """Name each package, as images without dpkg do for scanners of vulnerabilities, and keep its licence."""
    folder = target / "var/lib/dpkg/status.d"
    folder.mkdir(parents=True)
    for archive in sorted(archives.glob("*.deb")):
        name = archive.name.split("_")[0]
        fields = run("dpkg-deb", "--field", archive)
        (folder / name).write_text(f"{fields}Status: install ok installed\n", encoding="utf-8")
        sums = run("dpkg-deb", "--info", archive, "md5sums")
        (folder / f"{name}{MD5_SUMS}").write_text(sums, encoding="utf-8")
        documents = target / "usr/share/doc" / name
        if not documents.exists():  # a link, which the filters have left out, to those of another package
            listed = run("sh", "-c", f"dpkg-deb --fsys-tarfile {archive} | tar --list --verbose ./usr/share/doc/{name}")
            documents.symlink_to(listed.rpartition(" -> ")[2].strip())


def _configure(target: Path) -> None:
    """Write what scripts of the packages would write: users, the list of root certificates, names of services."""
    etc = target / "etc"
    (etc / "passwd").write_text(_USERS, encoding="utf-8")
    (etc / "group").write_text(_GROUPS, encoding="utf-8")
    (etc / "nsswitch.conf").write_text(_NAME_SERVICES, encoding="utf-8")
    roots = sorted((target / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = etc / "ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_bytes(b"".join(file.read_bytes() for file in roots))
    shutil.rmtree(target / "usr/share/ca-certificates")
    (target / SERVICE_STORAGE.lstrip("/")).mkdir(parents=True)
