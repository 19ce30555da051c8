#!/usr/bin/env python3
"""The software bill of materials of a build, as SPDX 2.3 JSON on stdout: mgid itself, and every
Debian package whose code its programs are linked with.

    deploy/sbom.py BUILD VERSION
"""
import glob
import hashlib
import json
import os
import re
import subprocess
import sys

STATIC = ["/usr/lib/*/liburing.a"]  # linked into the programs: ldd does not show it


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def libraries(programs):
    found = set()
    for program in programs:
        found.update(re.findall(r"=> (/\S+)", output("ldd", program)))
    for pattern in STATIC:
        found.update(glob.glob(pattern))
    return sorted(found)


def package_of(path):
    for name in (path, os.path.realpath(path), path.removeprefix("/usr")):
        r = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
        if r.returncode == 0:
            return r.stdout.split(": ")[0].split(",")[0]
    sys.exit(f"sbom: no Debian package has {path}")


def describe(name):
    fields = output("dpkg-query", "-W", "-f=${Package}\t${Version}\t${Architecture}\t${source:Package}", name)
    package, version, architecture, source = fields.split("\t")
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", package),
        "name": package,
        "versionInfo": version,
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "sourceInfo": f"Debian source package {source}",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": f"pkg:deb/debian/{package}@{version}?arch={architecture}",
            }
        ],
    }


def main():
    build, version = sys.argv[1:3]
    programs = sorted(glob.glob(f"{build}/sbin/*") + glob.glob(f"{build}/bin/*") + glob.glob(f"{build}/libexec/mgid/*"))
    if not programs:
        sys.exit(f"sbom: no programs below {build}; run make first")
    packages = [describe(p) for p in sorted({package_of(path) for path in libraries(programs)})]
    digest = hashlib.sha256()
    for program in programs:
        digest.update(open(program, "rb").read())
    # The time of the sources, so that the same sources give the same document.
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct").strip()
    created = output("date", "-u", "-d", f"@{epoch}", "+%Y-%m-%dT%H:%M:%SZ").strip()
    mgid = {
        "SPDXID": "SPDXRef-mgid",
        "name": "mgid",
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": digest.hexdigest()}],
    }
    json.dump(
        {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": "SPDXRef-DOCUMENT",
            "name": f"mgid-{version}",
            "documentNamespace": f"urn:mgid:sbom:{digest.hexdigest()}",
            "creationInfo": {"created": created, "creators": ["Tool: deploy/sbom.py"]},
            "packages": [mgid] + packages,
            "relationships": [
                {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": "SPDXRef-mgid"}
            ]
            + [
                {"spdxElementId": "SPDXRef-mgid", "relationshipType": "DEPENDS_ON", "relatedSpdxElement": p["SPDXID"]}
                for p in packages
            ],
        },
        sys.stdout,
        indent=2,
    )
    print()


if __name__ == "__main__":
    main()
