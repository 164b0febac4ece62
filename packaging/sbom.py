#!/usr/bin/python3
"""Prints an SBOM (SPDX 2.3, JSON) of a build: sbom.py BUILD-DIRECTORY VERSION

What the binary is made of is asked of the build itself: the headers that the compiler read, and the archives that were
linked, each as a file of a Debian package. A package whose licence is not known here is an error.
"""

import datetime
import hashlib
import json
import os
import platform
import re
import subprocess
import sys
import urllib.parse
from pathlib import Path

# By the source package. "None": nothing of it is in the binary (the kernel's headers declare system calls).
LICENCES = {
    r"boost\d.*": "BSL-1.0",
    "cli11": "BSD-3-Clause",
    "fmtlib": "MIT",
    r"gcc-\d+(-cross)?": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "glibc": "LGPL-2.1-or-later",
    "cross-toolchain-base": "LGPL-2.1-or-later",  # glibc, for another architecture
    "libsodium": "ISC",
    "linux": None,
    "nlohmann-json3": "MIT",
    "libxcrypt": None,
}


DISTRIBUTION = platform.freedesktop_os_release()["ID"]


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def files_used(build):
    """Of the system: headers that were read, archives and objects that were linked."""
    headers = re.findall(r"^ +(/usr/\S+)$", run("ninja", "-C", build, "-t", "deps"), re.MULTILINE)
    link = run("ninja", "-C", build, "-t", "commands", "claude-init").splitlines()[-1]
    archives = re.findall(r"(/usr/\S+\.a)\b", link)
    compiler = re.search(r"(\S*\+\+\S*) ", link)[1]
    for library in ("libc.a", "libstdc++.a", "libgcc.a", "libgcc_eh.a"):
        archives.append(run(compiler, f"-print-file-name={library}").strip())
    return sorted({os.path.realpath(path) for path in headers + archives})


def packages_of(files):
    """(source, version, [binary package]…) of each."""
    owners = set()
    for line in run("dpkg-query", "--search", *files).splitlines():
        owners |= {name.strip() for name in line.partition(": ")[0].split(",")}
    found = {}
    for name in sorted(owners):
        source, version = run("dpkg-query", "--show", "--showformat=${source:Package} ${source:Version}", name).split()
        found.setdefault((source, version), []).append(name.partition(":")[0])
    return found


def licence_of(source):
    for pattern, licence in LICENCES.items():
        if re.fullmatch(pattern, source):
            return licence
    sys.exit(f"sbom.py: what is the licence of {source}? Add it to LICENCES.")


def package(name, version, licence, more):
    return {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": version,
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": licence,
            "licenseDeclared": licence, "copyrightText": "NOASSERTION", **more}


def main():
    build, version = sys.argv[1:]
    binary = Path(build, "claude-init").read_bytes()
    digest = hashlib.sha256(binary).hexdigest()
    ours = package("claude-init", version, "MIT", {
        "primaryPackagePurpose": "APPLICATION", "checksums": [{"algorithm": "SHA256", "checksumValue": digest}]})
    parts = []
    for (source, its_version), binaries in packages_of(files_used(build)).items():
        licence = licence_of(source)
        if licence is None:
            continue
        parts.append(package(source, its_version, licence, {
            "primaryPackagePurpose": "LIBRARY", "comment": "Linked statically; built with " + ", ".join(sorted(set(binaries))) + ".",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:deb/{DISTRIBUTION}/{source}@{urllib.parse.quote(its_version)}?arch=source"}]}))
    created = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    print(json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"claude-init-{version}", "documentNamespace": f"https://spdx.org/spdxdocs/claude-init-{version}-{digest}",
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: claude-init packaging/sbom.py"]},
        "packages": [ours, *parts],
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": ours["SPDXID"]},
            *({"spdxElementId": ours["SPDXID"], "relationshipType": "STATIC_LINK", "relatedSpdxElement": part["SPDXID"]}
              for part in parts)]}, indent=1))


if __name__ == "__main__":
    main()
