"""Fixtures of the gateway's tests."""

import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from isolation import isolate
from skips import pytest_runtest_makereport

isolate()

from api import API, OTHER, Api, Gateway, make_authority, names

MODULE = "/usr/lib/nginx/modules/ngx_http_js_module.so"


def pytest_collection_modifyitems(items):
    missing = []
    if os.geteuid() != 0:
        missing.append("needs root: the names lead elsewhere, and it is port 443")
    if not shutil.which("nginx", path="/usr/sbin:/usr/bin") or not os.path.exists(MODULE):
        missing.append("needs nginx with njs (apt-get install nginx libnginx-mod-http-js)")
    for item in items:
        if missing:
            item.add_marker(pytest.mark.skip(reason="; ".join(missing)))


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("authority") / "real")


@pytest.fixture(scope="module", name="shared")
def fixture_shared(authority, tmp_path_factory):
    """An API, somebody else's server that the gateway could reach and would trust, and the gateway."""
    place = tmp_path_factory.mktemp("shared")
    other = make_authority(place / "elsewhere", name="evil.example")
    trusted = place / "trusted.pem"
    trusted.write_text((authority / "ca.pem").read_text() + (other / "ca.pem").read_text())
    api, elsewhere = Api(authority, API), Api(other, OTHER)
    with names(place, api_anthropic_com=API, evil_example=OTHER):
        gateway = Gateway(place, trusted).start()
        yield api, elsewhere, gateway
        gateway.stop()
    api.close()
    elsewhere.close()


@pytest.fixture
def api(shared):
    api, elsewhere, _ = shared
    api.begin_anew()
    yield api
    assert elsewhere.connections == 0, elsewhere.raw


@pytest.fixture
def gateway(shared, api):
    """It runs, in front of `api`, with a login."""
    gateway = shared[2]
    gateway.log_in()
    for file in (gateway.log, gateway.errors):
        os.truncate(file, 0)
    if gateway.process.poll() is not None:
        gateway.start()
    return gateway
