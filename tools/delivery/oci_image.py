"""Builds the image for containers: `python -m tools.delivery.oci_image [--architecture ARCH] [--output FOLDER]`.

The archive is an OCI image layout (OCI Image Format 1.1) that also has the `manifest.json` of `docker save`, so that
every engine loads it. It is written here and not by buildah, since buildah leaves the health check out of an OCI
image. Two builds of one commit yield the same bytes.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

from station.configuration.installation_choices import SERVICE_STORAGE
from station.maintenance.software_components import program_component
from tools.delivery.container_root import USER, build_container_root
from tools.delivery.program_environment import MACHINES
from tools.delivery.source_tree import DeliveryError, SourceTree, source_tree

_S: Final = 1_000_000_000
"""nanoseconds in a second, the unit of durations in an image"""
_INSTALLATION_FILE: Final = "/etc/borne/station.toml"
HEALTH_CHECK: Final = ("/usr/bin/borne", "health", _INSTALLATION_FILE)
"""the command that the engine runs in the container; exit code 0 if the station is healthy"""
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
_INDEX: Final = "application/vnd.oci.image.index.v1+json"
_CONFIGURATION: Final = "application/vnd.oci.image.config.v1+json"
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


def build_image(source: SourceTree, architecture: str, output: Path, source_url: str = "") -> Path:
    """Build the image for a processor, and return its archive in the folder `output`.

    `source_url`: where the source code of the commit is published, for the image's labels; empty: it is not.

    Raises:
        DeliveryError: a tool is missing or fails.
    """
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output) as name:
        root, layer = Path(name) / "root", Path(name) / "layer.tar.gz"
        build_container_root(source, architecture, root)
        content_digest = _write_layer(source, root, layer)
        archive = output / f"borne-{source.version}-{architecture}.oci.tar"
        _write_archive(source, _configuration(source, architecture, content_digest, source_url), layer, archive)
    return archive


def extract_content(archive: Path, target: Path) -> None:
    """Write the content of an image that `build_image` has built: its only layer, a compressed tar archive."""
    with tarfile.open(archive) as packed:
        (image,) = json.loads(_member(packed, "manifest.json").read())
        (place,) = image["Layers"]
        with target.open("wb") as file:
            shutil.copyfileobj(_member(packed, place), file)


def _member(packed: tarfile.TarFile, place: str) -> IO[bytes]:
    opened = packed.extractfile(place)
    if opened is None:
        raise DeliveryError(f"{place} in {packed.name} is no file")
    return opened


def _write_layer(source: SourceTree, root: Path, layer: Path) -> str:
    """Pack a root file system, and return the digest of what is packed, uncompressed.

    All files belong to root, but for the records; none gives the rights of its owner to whoever runs it.
    """

    def normalized(member: tarfile.TarInfo) -> tarfile.TarInfo:
        is_stored = f"/{member.name}" == SERVICE_STORAGE
        member.uid = member.gid = USER if is_stored else 0
        member.uname = member.gname = ""
        member.mtime = source.timestamp
        member.mode = 0o700 if is_stored else member.mode & 0o1777 & ~0o022 | (0o777 if member.name == "tmp" else 0)
        return member

    with tempfile.TemporaryFile() as content:
        with tarfile.open(fileobj=content, mode="w") as archive:
            for file in sorted(root.rglob("*")):
                archive.add(file, str(file.relative_to(root)), recursive=False, filter=normalized)
        content.seek(0)
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        content.seek(0)
        with layer.open("wb") as file, gzip.GzipFile("", "wb", 6, file, mtime=0) as compressed:
            while part := content.read(1 << 20):
                compressed.write(part)
    return f"sha256:{digest}"


def _configuration(source: SourceTree, architecture: str, content_digest: str, source_url: str) -> dict[str, object]:
    """The configuration of the image: how a container of it is run."""
    created = datetime.fromtimestamp(source.timestamp, UTC).isoformat()
    labels = {
        "org.opencontainers.image.title": "borne",
        "org.opencontainers.image.description": "Software of an AC charging station for electric vehicles",
        "org.opencontainers.image.version": source.version,
        "org.opencontainers.image.revision": f"{source.commit}{'-modified' if source.modified else ''}",
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.licenses": program_component().licence,
        **({"org.opencontainers.image.source": source_url} if source_url else {}),
    }
    return {
        "architecture": architecture,
        "os": "linux",
        "created": created,
        "config": {
            "User": f"{USER}:{USER}",
            "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
            "Entrypoint": ["/usr/bin/borne"],
            "Cmd": ["run", "--config", _INSTALLATION_FILE],
            "WorkingDir": SERVICE_STORAGE,
            "Volumes": {SERVICE_STORAGE: {}},
            "ExposedPorts": {"8080/tcp": {}},
            "StopSignal": "SIGTERM",
            "Labels": labels,
            # Reserved by the OCI format; engines that know health checks read it here.
            "Healthcheck": {
                "Test": ["CMD", *HEALTH_CHECK],
                "Interval": 60 * _S,
                "Timeout": 20 * _S,
                "StartPeriod": 60 * _S,
                "Retries": 3,
            },
        },
        "rootfs": {"type": "layers", "diff_ids": [content_digest]},
        "history": [{"created": created, "created_by": "tools.delivery.oci_image", "comment": "Debian 13 and borne"}],
    }


def _write_archive(source: SourceTree, configuration: Mapping[str, object], layer: Path, archive: Path) -> None:
    """Write the image layout of a configuration and its only layer."""
    blobs: dict[str, bytes] = {}

    def described(media_type: str, content: object) -> dict[str, object]:
        data = json.dumps(content, sort_keys=True).encode()
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    with layer.open("rb") as file:
        layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
    layer_place = f"blobs/sha256/{layer_digest}"
    config = described(_CONFIGURATION, configuration)
    content = {"mediaType": _LAYER, "digest": f"sha256:{layer_digest}", "size": layer.stat().st_size}
    manifest = described(_MANIFEST, {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": [content]})
    tags = [f"borne:{tag}" for tag in (source.version, "latest")]
    index = {
        "schemaVersion": 2,
        "mediaType": _INDEX,
        "manifests": [{**manifest, "annotations": {"org.opencontainers.image.ref.name": tags[-1]}}],
    }
    config_place = f"blobs/sha256/{str(config['digest']).removeprefix('sha256:')}"
    saved = [{"Config": config_place, "RepoTags": tags, "Layers": [layer_place]}]
    files = {
        **blobs,
        "index.json": json.dumps(index, sort_keys=True).encode(),
        "manifest.json": json.dumps(saved, sort_keys=True).encode(),
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
    }
    with archive.open("wb") as file, tarfile.open(fileobj=file, mode="w") as packed, layer.open("rb") as opened:
        for folder in ("blobs", "blobs/sha256"):
            member = tarfile.TarInfo(folder)
            member.type, member.mode, member.mtime = tarfile.DIRTYPE, 0o755, source.timestamp
            packed.addfile(member)
        for place, data in sorted(files.items()):
            _add(packed, place, len(data), source.timestamp, io.BytesIO(data))
        _add(packed, layer_place, layer.stat().st_size, source.timestamp, opened)


def _add(packed: tarfile.TarFile, place: str, size: int, time_s: int, content: IO[bytes]) -> None:
    member = tarfile.TarInfo(place)
    member.size, member.mode, member.mtime = size, 0o644, time_s
    packed.addfile(member, content)


def main(arguments: Sequence[str]) -> int:
    """Build the image; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(":")[0])
    parser.add_argument("--architecture", choices=MACHINES, default="amd64", help="Processor. [default: %(default)s]")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="Default: build/.")
    parser.add_argument("--source", default="", metavar="URL", help="Where the source code is published, for a label.")
    given = parser.parse_args(arguments)
    source = source_tree()
    try:
        archive = build_image(source, given.architecture, given.output or source.root / "build", given.source)
    except DeliveryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{archive}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
