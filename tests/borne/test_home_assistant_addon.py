"""The start as an add-on of Home Assistant: from its options to an installation file, the broker, and backups."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Generator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
import yaml

from borne.home_assistant_addon import (
    AddonError,
    AddonFolders,
    MqttService,
    back_up,
    find_broker,
    main,
    restore,
    write_installation_file,
)
from tests.project import ROOT

ENVIRONMENT: Final = {"BORNE_STATION_STORAGE": "/data/borne", "BORNE_HTTP_HOST": "0.0.0.0", "TZ": "Europe/Paris"}


@pytest.fixture
def folders(tmp_path: Path) -> AddonFolders:
    """The folders of the supervisor."""
    (tmp_path / "data").mkdir()
    (tmp_path / "config").mkdir()
    return AddonFolders(tmp_path / "data", tmp_path / "config")


@pytest.fixture
def options() -> dict[str, Any]:
    """The options of a new installation."""
    description = yaml.safe_load((ROOT / "deploy/home-assistant/borne/config.yaml").read_text(encoding="utf-8"))
    return description["options"]


def write(folders: AddonFolders, options: object) -> None:
    """Store options as the supervisor does."""
    (folders.data / "options.json").write_text(json.dumps(options), encoding="utf-8")


def error_of(folders: AddonFolders, options: object) -> list[str]:
    """The sentences by which the start with these options is refused."""
    write(folders, options)
    with pytest.raises(AddonError) as refused:
        write_installation_file(folders, ENVIRONMENT)
    return str(refused.value).splitlines()


def test_a_new_installation_is_a_simulated_station_with_the_storage_of_the_addon(
    folders: AddonFolders, options: dict[str, Any]
) -> None:
    write(folders, options)
    configuration = write_installation_file(folders, ENVIRONMENT)
    assert configuration.board.type == "simulated"
    assert configuration.csms is None
    assert configuration.grid is None
    assert configuration.mqtt is None
    assert str(configuration.station.storage) == "/data/borne"
    assert configuration.station.time_zone == "Europe/Paris"
    assert folders.installation_file.stat().st_mode & 0o777 == 0o600


def test_a_station_on_modbus_with_csms_house_meter_and_broker(folders: AddonFolders, options: dict[str, Any]) -> None:
    options["station"] = {"identity": "DE*1", "time_zone": "Europe/Berlin"}
    options["csms"] = {"url": "wss://csms.example/ocpp", "password": "0123456789abcdef", "accept": []}
    options["evse"][0]["meter"] = {"type": "modbus-tcp", "model": "eastron-sdm630", "host": "192.168.1.20"}
    options["board"] = {
        "type": "modbus",
        "selector_a": 16,
        "i_accept_no_timeout": True,
        "evse": [{"model": "simple-evse", "device": "/dev/ttyUSB0", "host": ""}],
    }
    options["grid"] = {"phases": 3, "max_current_a": 35.0, "source": {"type": "p1", "device": "/dev/ttyUSB1"}}
    options["mqtt"] = {"host": "192.168.1.5", "user": 'a"b\\'}
    write(folders, options)
    configuration = write_installation_file(folders, ENVIRONMENT)
    assert configuration.station.identity == "DE*1"
    assert configuration.station.time_zone == "Europe/Berlin"
    assert configuration.board.type == "modbus"
    assert configuration.firmware.type == "command"
    assert main([*configuration.firmware.install_command[4:], "image"]) == 1, "Home Assistant updates the add-on"
    assert configuration.grid is not None
    assert configuration.grid.source is not None
    assert configuration.mqtt is not None
    assert configuration.mqtt.user == 'a"b\\'


def test_an_error_names_the_option(folders: AddonFolders, options: dict[str, Any]) -> None:
    options["evse"][0]["max_current_a"] = 5
    options["csms"] = {"url": "http://csms.example"}
    assert error_of(folders, options) == [
        "option csms.url: must begin with ws:// or wss://",
        "option evse[0].max_current_a: must be at least 6 (is 5)",
    ]
    options["evse"][0]["max_current_a"] = 16
    options["csms"] = {}
    options["station"] = {"identity": ""}
    assert error_of(folders, options) == ["option station.identity: is missing"]
    options["board"] = {"type": "modbus", "evse": []}
    assert "option board.selector_a: is missing" in error_of(folders, options)


def test_options_that_cannot_be_read_are_an_error(folders: AddonFolders) -> None:
    with pytest.raises(AddonError, match=r"options\.json: cannot be read"):
        write_installation_file(folders, ENVIRONMENT)
    assert "options.json: cannot be read" in error_of(folders, ["no", "object"])[0]


def test_a_file_of_the_user_takes_the_place_of_all_options(folders: AddonFolders, options: dict[str, Any]) -> None:
    (folders.configuration / "mine.toml").write_text('[station]\nidentity = "MINE"\nstorage = "x"\n', encoding="utf-8")
    write(folders, {**options, "installation_file": "mine.toml"})
    configuration = write_installation_file(folders, ENVIRONMENT)
    assert configuration.station.identity == "MINE"
    assert str(configuration.station.storage) == "/data/borne"
    assert folders.installation_file.read_text(encoding="utf-8").startswith("[station]")


def test_an_error_in_a_file_of_the_user_names_file_and_line(folders: AddonFolders) -> None:
    file = folders.configuration / "mine.toml"
    file.write_text('[station]\nidentity = "MINE"\n\n[[evse]]\nphases = 2\n', encoding="utf-8")
    (sentence,) = error_of(folders, {"installation_file": "mine.toml"})
    assert sentence.startswith(f"{file}:5: evse[0].phases: ")


def test_only_files_of_the_addons_folder_can_be_named(folders: AddonFolders) -> None:
    assert error_of(folders, {"installation_file": "none.toml"}) == [
        "option installation_file: there is no file none.toml in the folder of the add-on"
    ]
    assert error_of(folders, {"installation_file": "../data/options.json"}) == [
        "option installation_file: must be in the folder of the add-on (is ../data/options.json)"
    ]


class _Supervisor(BaseHTTPRequestHandler):
    """The supervisor's API, as far as add-ons ask it for a broker; without one it responds with an error."""

    service: dict[str, Any] | None = None

    def do_GET(self) -> None:
        assert self.path == "/services/mqtt"
        known = self.headers["Authorization"] == "Bearer key" and self.service is not None
        answer = {"result": "ok", "data": self.service} if known else {"result": "error", "message": "not enabled"}
        self.send_response(200 if known else 400)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """The URL of a supervisor that knows no broker."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Supervisor) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/services/mqtt"
        server.shutdown()
        thread.join()


def test_the_broker_of_another_addon_becomes_variables_of_the_program(
    supervisor: str, monkeypatch: pytest.MonkeyPatch, folders: AddonFolders, options: dict[str, Any]
) -> None:
    service = {"addon": "core_mosquitto", "host": "core-mosquitto", "port": 1883, "ssl": False, "protocol": "3.1.1"}
    monkeypatch.setattr(_Supervisor, "service", {**service, "username": "addons", "password": "secret"})
    broker = find_broker({"SUPERVISOR_TOKEN": "key"}, supervisor)
    assert broker is not None
    assert broker == MqttService("core-mosquitto", 1883, False, "addons", "secret")
    write(folders, options)
    mqtt = write_installation_file(folders, {**ENVIRONMENT, **broker.variables()}).mqtt
    assert mqtt is not None
    assert (mqtt.host, mqtt.port, mqtt.user, mqtt.tls) == ("core-mosquitto", 1883, "addons", False)
    assert "secret" not in folders.installation_file.read_text(encoding="utf-8")


def test_a_station_starts_without_a_broker(supervisor: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert find_broker({}, supervisor) is None
    assert find_broker({"SUPERVISOR_TOKEN": "key"}, supervisor) is None
    assert "offers no MQTT broker (HTTP Error 400" in capsys.readouterr().err


def test_a_backup_has_the_database_of_one_moment_and_a_restored_station_goes_on_with_it(
    folders: AddonFolders,
) -> None:
    folders.storage.mkdir()
    with closing(sqlite3.connect(folders.database)) as used:
        used.execute("PRAGMA journal_mode = WAL")
        used.execute("CREATE TABLE record (number INTEGER)")
        used.execute("INSERT INTO record VALUES (1)")
        used.commit()
        back_up(folders)
        used.execute("INSERT INTO record VALUES (2)")
        used.commit()
        back_up(folders)
        used.execute("INSERT INTO record VALUES (3)")
        used.commit()
        restore(folders)  # changes nothing: there is a database
        assert used.execute("SELECT count(*) FROM record").fetchone() == (3,)
    for file in folders.storage.iterdir():
        file.unlink()
    restore(folders)
    with closing(sqlite3.connect(folders.database)) as restored:
        assert restored.execute("SELECT number FROM record").fetchall() == [(1,), (2,)]
