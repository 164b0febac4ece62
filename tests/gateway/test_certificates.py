"""The gateway's certificates: made at its first start, kept, and renewed long before their end."""

import signal
import ssl
import subprocess

import pytest
from api import NAME, Gateway, eventually, names, openssl


@pytest.fixture(name="gateway")
def fixture_gateway(authority, tmp_path):
    """One that may be started again and again."""
    with names(tmp_path):
        gateway = Gateway(tmp_path, authority / "ca.pem")
        yield gateway
        gateway.stop()


def fields(path, *names_of_fields):
    return subprocess.run(["openssl", "x509", "-in", path, "-noout", *names_of_fields], capture_output=True, text=True,
                          check=True).stdout


def is_accepted(gateway, trusted=None):
    try:
        with gateway.connect(trusted=trusted) as connection:
            return connection.getpeercert()["subjectAltName"] == (("DNS", NAME),)
    except ssl.SSLCertVerificationError:
        return False


def lives_for(path, days):
    return subprocess.run(["openssl", "x509", "-in", path, "-noout", "-checkend", str(days * 86400)],
                          capture_output=True, check=False).returncode == 0


def authority_for(gateway, days, name="ca"):
    """As the gateway's own, but for its end."""
    gateway.state.mkdir(exist_ok=True)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", days,
            "-subj", "/CN=claude-init gateway", "-keyout", f"{name}.key", "-out", f"{name}.pem", directory=gateway.state)
    return (gateway.state / f"{name}.pem").read_text()


def test_they_are_made_once_and_kept(gateway):
    gateway.start()
    assert is_accepted(gateway)
    before = {path.name: path.read_bytes() for path in gateway.state.iterdir()}
    gateway.stop()
    gateway.start()
    assert {path.name: path.read_bytes() for path in gateway.state.iterdir()} == before
    assert is_accepted(gateway)


def test_keys_are_the_gateways_and_what_jobs_mount_is_no_secret(gateway):
    gateway.start()
    assert sorted(path.name for path in gateway.shown.iterdir()) == ["ca.pem"]
    assert "PRIVATE" not in (gateway.shown / "ca.pem").read_text()
    assert (gateway.shown / "ca.pem").stat().st_mode & 0o777 == 0o644
    for path in gateway.state.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_authority_can_speak_for_no_other_name(gateway):
    gateway.start()
    gateway.stop()
    for name, accepted in [(NAME, True), (f"x.{NAME}", True), ("platform.claude.com", False), ("github.com", False)]:
        (gateway.directory / "names").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=x", "-keyout",
                "x.key", "-out", "x.csr", directory=gateway.directory)
        openssl("x509", "-req", "-in", "x.csr", "-CA", gateway.state / "ca.pem", "-CAkey", gateway.state / "ca.key",
                "-set_serial", "7", "-days", "2", "-extfile", "names", "-out", "x.pem", directory=gateway.directory)
        verified = subprocess.run(["openssl", "verify", "-CAfile", gateway.shown / "ca.pem", "x.pem"],
                                  cwd=gateway.directory, capture_output=True, check=False).returncode == 0
        assert verified is accepted, name


def test_a_certificate_that_ends_within_a_month_is_renewed(gateway):
    gateway.start()
    gateway.stop()
    assert lives_for(gateway.state / "server.pem", 80)
    openssl("req", "-new", "-key", "server.key", "-subj", "/CN=x", "-out", "/dev/shm/x.csr", directory=gateway.state)
    openssl("x509", "-req", "-in", "/dev/shm/x.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "7", "-days", "20",
            "-out", "server.pem", directory=gateway.state)
    authority = (gateway.shown / "ca.pem").read_text()
    gateway.start()
    assert lives_for(gateway.state / "server.pem", 80) and is_accepted(gateway)
    assert (gateway.shown / "ca.pem").read_text() == authority, "jobs that run know the same one"


def test_a_certificate_is_renewed_while_it_runs(gateway):
    gateway.start()
    before = served(gateway)
    openssl("req", "-new", "-key", "server.key", "-subj", "/CN=x", "-out", "/dev/shm/x.csr", directory=gateway.state)
    openssl("x509", "-req", "-in", "/dev/shm/x.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "7", "-days", "20",
            "-out", "server.pem", directory=gateway.state)
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: served(gateway) != before, "the new one")
    assert is_accepted(gateway)


def served(gateway):
    with gateway.connect() as connection:
        return connection.getpeercert()["serialNumber"]


def test_the_next_authority_is_shown_before_it_is_needed(gateway):
    old = authority_for(gateway, 300)
    gateway.start()
    shown = (gateway.shown / "ca.pem").read_text()
    assert shown.startswith(old) and shown.count("BEGIN CERTIFICATE") == 2
    # Jobs that began long ago know this one only.
    (gateway.directory / "old.pem").write_text(old)
    assert is_accepted(gateway, gateway.directory / "old.pem") and is_accepted(gateway)


def test_the_next_authority_takes_over_half_a_year_before_the_end(gateway):
    authority_for(gateway, 100)
    following = authority_for(gateway, 1000, name="next")
    gateway.start()
    assert (gateway.state / "ca.pem").read_text() == following
    assert not (gateway.state / "next.pem").exists()
    (gateway.directory / "next.pem").write_text(following)
    assert is_accepted(gateway, gateway.directory / "next.pem")


def test_a_state_that_was_cut_off_is_made_good(gateway):
    gateway.start()
    gateway.stop()
    for name in ("server.key", "server.pem", "ca.pem"):
        (gateway.state / name).write_text("")
        gateway.start()
        assert is_accepted(gateway)
        gateway.stop()


def test_a_place_that_cannot_be_written_is_named(gateway):
    gateway.environment["CLAUDE_GATEWAY_STATE"] = "/proc/nowhere"
    with pytest.raises(AssertionError, match="/proc/nowhere cannot be written by uid 0: mount a volume there"):
        gateway.start()
    assert gateway.process.wait(60) == 77
    eventually(lambda: gateway.process.poll() is not None, "its end")
