#!/usr/bin/env python3
"""Checks the files of deploy/ without an engine: carries out the Dockerfile's commands
and starts what the image would hold, as its user and on a root it cannot write; checks
compose.yaml with compose-go, kubernetes.yaml with the schemas of two releases, the unit
with systemd-analyze and haproxy.cfg with HAProxy. Says what it leaves out.

    python3 .ci/check_deploy.py
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

import dockerfile_parse
import kubernetes_validate
import yaml

KUBERNETES = ["1.30", "1.37"]
EXPOSURE = 3.0
COMPOSE = ["go", "tool", "-modfile=tools/go.mod", "github.com/compose-spec/compose-go/v2/cmd"]
SECRETS = {"ANTHROPIC_API_KEY", "CARROT_ADMIN_KEY", "OPENAI_API_KEY", "POSTGRES_PASSWORD"}  # as in docs/deploy.md
ADMIN_KEY = "admin-key-0123456789"


def check(ok, problem):
    if not ok:
        sys.exit(f"check_deploy: {problem}")


def run(command, **options):
    done = subprocess.run(command, text=True, capture_output=True, **options)
    return done.returncode, done.stdout, done.stdout + done.stderr


def instructions(path):
    """The instructions of a Dockerfile by stage: [(base, name, [(instruction, value)])]."""
    with open(path, "rb") as file:
        parsed = dockerfile_parse.DockerfileParser(fileobj=file).structure
    stages = []
    for step in parsed:
        name, value = step["instruction"], step["value"]
        if name == "COMMENT":
            continue
        if name == "FROM":
            found = re.fullmatch(r"(\S+)(?: AS (\S+))?", value)
            check(found, f"FROM {value}: not understood")
            stages.append((found[1], found[2], []))
            continue
        check(stages, f"{name} before FROM")
        check(name in {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "RUN", "USER", "WORKDIR"}, f"{name}: this check does not know what it does")
        stages[-1][2].append((name, value))
    return stages


def context(target):
    """The files of this checkout that docker build would send."""
    ignored = [line.strip() for line in open("deploy/Dockerfile.dockerignore") if line.strip() and not line.startswith("#")]
    files = subprocess.run(["git", "ls-files", "-z"], check=True, capture_output=True).stdout.decode().split("\0")[:-1]
    for file in files:
        if any(file == i or file.startswith(i + "/") for i in ignored) or not os.path.exists(file):
            continue
        os.makedirs(os.path.dirname(os.path.join(target, file)), exist_ok=True)
        shutil.copy(file, os.path.join(target, file))


class Stage:
    """A stage of an image, as a folder."""

    def __init__(self, root):
        self.root, self.directory, self.user = root, "/", None
        self.environment, self.entrypoint, self.command = {}, [], []
        self.owners = {}

    def path(self, name):
        return self.root + os.path.normpath(os.path.join(self.directory, name))

    def copy(self, value, stages, sent):
        words = shlex.split(value)
        flags = dict(w[2:].split("=", 1) for w in words if w.startswith("--"))
        check(set(flags) <= {"from", "chown"}, f"COPY {value}: a flag that this check does not know")
        *sources, to = [w for w in words if not w.startswith("--")]
        target = self.path(to)
        for source in sources:
            origin = os.path.join(sent, source)
            if "from" in flags:
                check(flags["from"] in stages, f"COPY {value}: no such stage before it")
                origin = stages[flags["from"]].path(source)
                if not os.path.exists(origin):
                    origin = source  # a file of the base image, taken from this machine
            check(os.path.exists(origin), f"COPY {value}: {source} does not exist")
            if os.path.isdir(origin):
                shutil.copytree(origin, target, dirs_exist_ok=True, symlinks=True)
            else:
                if to.endswith("/"):
                    os.makedirs(target, exist_ok=True)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                shutil.copy(origin, target)
        if "chown" in flags:
            self.owners[target] = tuple(int(i) for i in flags["chown"].split(":"))

    def carry_out(self, name, value, stages, sent):
        if name == "ARG" or name == "ENV":
            self.environment.update([value.split("=", 1)])
        elif name == "WORKDIR":
            self.directory = value
            os.makedirs(self.path("."), exist_ok=True)
        elif name == "COPY":
            self.copy(value, stages, sent)
        elif name == "USER":
            check(re.fullmatch(r"[1-9]\d*:[1-9]\d*", value), f"USER {value}: want numbers, which Kubernetes can compare with runAsNonRoot")
            self.user = tuple(int(i) for i in value.split(":"))
        elif name == "ENTRYPOINT":
            self.entrypoint = json.loads(value)
        elif name == "CMD":
            self.command = json.loads(value)
        elif name == "RUN":
            start = time.time()
            status, _, text = run(["sh", "-c", value], cwd=self.path("."), env={**os.environ, **self.environment})
            check(status == 0, f"RUN {value}:\n{text}")
            print(f"RUN {value}: {time.time() - start:.1f}s")


def image(work):
    """Builds the image as folders."""
    parsed = instructions("deploy/Dockerfile")
    language = re.search(r"^go (\d+\.\d+)", open("go.mod").read(), re.M)[1]
    check(parsed[0][0] == f"golang:{language}", f"the Dockerfile builds with {parsed[0][0]}, and go.mod says {language}")
    check(parsed[-1][0] == "scratch", f"the image is based on {parsed[-1][0]}, want scratch")
    sent = os.path.join(work, "context")
    context(sent)
    stages = {}
    for n, (_, name, steps) in enumerate(parsed):
        stage = stages[name] = Stage(os.path.join(work, f"stage{n}"))
        os.makedirs(stage.root)
        for step in steps:
            stage.carry_out(*step, stages, sent)
    check(stage.user, "the image has no USER, so it would run as root")
    files = sorted(os.path.relpath(os.path.join(folder, f), stage.root) for folder, _, names in os.walk(stage.root) for f in names)
    check(files == ["carrot", "etc/ssl/certs/ca-certificates.crt"], f"the image has {files}")
    return stage


def start(stage):
    """Starts the image's command with deploy/carrot.yaml on a file of SQLite."""
    text = open("deploy/carrot.yaml").read()
    for address in ("0.0.0.0:8080", "0.0.0.0:8081"):
        check(address in text, f"deploy/carrot.yaml has no {address}")
        text = text.replace(address, "127.0.0.1:0")
    os.makedirs(stage.root + "/etc/carrot")
    with open(stage.root + "/etc/carrot/carrot.yaml", "w") as file:
        file.write(re.sub(r"drain: \w+, ", "", text))
    if os.getuid() != 0:
        print("left out: starting the image's command, which needs root to change its root")
        return
    for path, owner in stage.owners.items():
        for folder, _, files in os.walk(path):
            for name in [folder, *(os.path.join(folder, f) for f in files)]:
                os.chown(name, *owner)
    os.chmod(os.path.dirname(stage.root), 0o755)

    def confine():
        os.chroot(stage.root)
        os.chdir(stage.directory)
        os.setgroups([])
        os.setgid(stage.user[1])
        os.setuid(stage.user[0])
        try:
            open("/written", "w")
        except PermissionError:
            return
        raise AssertionError("the root can be written")

    environment = {"CARROT_STORE": "/var/lib/carrot/carrot.db", "CARROT_ADMIN_KEY": ADMIN_KEY, "OPENAI_API_KEY": "none", "ANTHROPIC_API_KEY": "none", "GOMEMLIMIT": "384MiB"}
    with subprocess.Popen(stage.entrypoint + stage.command, env=environment, preexec_fn=confine, stderr=subprocess.PIPE, text=True) as gateway:
        lines = []
        for line in gateway.stderr:
            lines.append(line)
            found = re.search(r'"msg":"serving","address":"([^"]+)","admin":"([^"]+)"', line)
            if found:
                break
        else:
            sys.exit("check_deploy: the image's command ended:\n" + "".join(lines))
        for url in (f"http://{found[1]}/ready", f"http://{found[1]}/health", f"http://{found[2]}/metrics"):
            with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}), timeout=10) as response:
                check(response.status == 200, f"{url}: status {response.status}")
        gateway.send_signal(signal.SIGTERM)
        rest = gateway.stderr.read()
        check(gateway.wait(30) == 0, f"after SIGTERM, the image's command ended with status {gateway.returncode}:\n{rest}")
    state = sorted(os.listdir(stage.path(".")))
    check("carrot.db" in state and "journal" in state, f"the state has {state}")
    print(f"{' '.join(stage.entrypoint + stage.command)} as user {stage.user[0]}: ready, healthy, stopped; state: {', '.join(state)}")


def compose():
    path = "deploy/compose.yaml"
    with open("deploy/carrot.yaml") as file:
        used = set(re.findall(r"\$\{(\w+)\}", file.read()))
    environment = {k: v for k, v in os.environ.items() if k not in SECRETS}
    # The tool reads no environment, so it must miss what has no default, and no more.
    status, _, text = run(COMPOSE + [path], env=environment)
    missing = set(re.findall(r"required variable (\w+) is missing a value", text))
    check(status != 0 and missing == SECRETS, f"{path} requires {sorted(missing)}, want {sorted(SECRETS)}:\n{text}")
    status, out, text = run(COMPOSE + ["-no-interpolation", "-format", "json", path], env=environment)
    check(status == 0, f"{path}: {text}")
    services = json.loads(out)["services"]
    gateways = {n: s for n, s in services.items() if n.startswith("carrot-")}
    check(len(gateways) == 2 and "postgres" in services, f"{path} has the services {sorted(services)}")
    state = set()
    for name, service in services.items():
        check(service.get("read_only") and service.get("cap_drop") == ["ALL"] and service.get("mem_limit"), f"{path}: {name} can write its root, has capabilities or no limit of memory")
        for volume in service["volumes"]:
            if volume["type"] == "bind":
                source = os.path.join("deploy", os.path.relpath(volume["source"]))
                check(os.path.isfile(source) and volume["read_only"], f"{path}: {name} mounts {source}, which does not exist or can be written")
            elif name in gateways:
                state.add(volume["source"])
        if name in gateways:
            check(used <= set(service["environment"]), f"{path}: {name} lacks {sorted(used - set(service['environment']))}")
    check(len(state) == len(gateways), f"{path}: gateways share a folder for their journals")
    balanced = set(re.findall(r"^  server \S+ (\S+):8080$", open("deploy/haproxy.cfg").read(), re.M))
    check(balanced == set(gateways), f"deploy/haproxy.cfg has the servers {sorted(balanced)}, want {sorted(gateways)}")
    print(f"{path}: {', '.join(services)}")


def kubernetes():
    path = "deploy/kubernetes.yaml"
    with open(path) as file:
        documents = list(yaml.safe_load_all(file))
    for version in KUBERNETES:
        for document in documents:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as err:
                sys.exit(f"check_deploy: {path}: {document.get('kind')} {document['metadata']['name']}, Kubernetes {version}: {'.'.join(map(str, err.path))}: {err.message}")
    print(f"{path}: {len(documents)} objects, as in Kubernetes {' and '.join(KUBERNETES)}")


def systemd(work):
    path = "deploy/carrot.service"
    if not shutil.which("systemd-analyze"):
        print("left out: the unit, because there is no systemd-analyze")
        return
    status, _, text = run(["systemd-analyze", "security", "--offline=true", "--no-pager", path])
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
    check(status == 0 and found and float(found[1]) < EXPOSURE, f"{path}: want an exposure below {EXPOSURE}:\n{text}")
    # The program is not installed on this machine.
    unit = os.path.join(work, "carrot.service")
    with open(unit, "w") as file:
        file.write(open(path).read().replace("/usr/local/bin/carrot", "/bin/true"))
    status, _, text = run(["systemd-analyze", "verify", "--man=no", unit])
    check(status == 0 and "carrot.service" not in text, f"{path}:\n{text}")
    print(f"{path}: exposure {found[1]}")


def haproxy():
    path = "deploy/haproxy.cfg"
    program = os.environ.get("HAPROXY") or shutil.which("haproxy")
    if not program:
        print(f"left out: {path}, because there is no haproxy")
        return
    status, _, text = run([program, "-c", "-f", path])
    unexpected = [l for l in text.splitlines() if "[WARNING]" in l and "could not resolve address" not in l or "[ALERT]" in l]
    check(status == 0 and not unexpected, f"{path}:\n{text}")
    print(f"{path}: valid for {run([program, '-v'])[1].splitlines()[0]}")


def main():
    with tempfile.TemporaryDirectory() as work:
        systemd(work)
        haproxy()
        kubernetes()
        compose()
        start(image(work))


main()
