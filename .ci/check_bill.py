"""Checks the bill of materials and the licences of a release folder against its binary."""

import json
import pathlib
import re
import subprocess
import sys

folder = pathlib.Path(sys.argv[1])
binary = next(p for p in (folder / "carrot", folder / "carrot.exe") if p.exists())
text = subprocess.run(["go", "version", "-m", binary], check=True, capture_output=True, text=True).stdout
modules = {tuple(m) for m in re.findall(r"^\tdep\t(\S+)\t(\S+)", text, re.M)}
bill = json.loads((folder / "carrot.cdx.json").read_text())
assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6"), bill
components = bill["components"] + [bill["metadata"]["component"]]
listed = {(c["name"], c["version"]) for c in components if "carrot:go.sum" in {p["name"] for p in c.get("properties", [])}}
assert modules == listed, modules ^ listed
refs = [c["bom-ref"] for c in components]
assert len(set(refs)) == len(refs), refs
for d in bill["dependencies"]:
    assert {d["ref"], *d.get("dependsOn", [])} <= set(refs), d
notices = (folder / "THIRD_PARTY_LICENSES.txt").read_text()
for c in bill["components"]:
    assert c["licenses"], c
    head = f'  {c["name"]} {c.get("version", "")}'.rstrip()
    assert re.search("^" + re.escape(head) + r"\b.*: \S", notices, re.M), head
    assert notices.count(head[2:]) >= 2, f"{head}: no text"
assert (folder / "LICENSE").read_text() == pathlib.Path("LICENSE").read_text()
print(folder, len(modules), "modules,", len(bill["components"]), "components,", len(notices), "bytes of licences")
