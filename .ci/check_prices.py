"""Compares our bills with those of LiteLLM and genai-prices.

Usage: check_prices.py CARROT [--verbose]

Every model of the catalogue that has a price is billed for every usage below by carrot
price explain, by LiteLLM's cost_per_token and by genai-prices' calc_price. A difference
that no row of the table in docs/prices.md explains is an error, and so is a row that
explains nothing.
"""

import collections
import datetime
import fnmatch
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from decimal import Decimal

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # nothing is fetched

import genai_prices
import litellm
from genai_prices import data as genai_data
from litellm.types.utils import (
    CacheCreationTokenDetails,
    CompletionTokensDetailsWrapper,
    PromptTokensDetailsWrapper,
    Usage,
)

CARROT = sys.argv[1]
VERBOSE = "--verbose" in sys.argv
ROOT = pathlib.Path(__file__).parent.parent
DATE = "2026-11-29"
DAY = datetime.datetime(2026, 11, 29, 12, tzinfo=datetime.timezone.utc)

# Calls as carrot price explain takes them, and a pattern that an entry of the catalogue
# must match to be billed for them.
USAGES = {
    "plain": ({"input": 1200, "output": 300}, None),
    "cached": ({"input": 400, "cached_input": 800, "output": 300}, None),
    "reasoning": ({"input": 1200, "output": 300, "reasoning": 900}, None),
    "write": ({"input": 400, "cache_write": 800, "output": 300}, '"cache_write"'),
    "write-5m": ({"input": 400, "cache_writes": {"300": 800}, "output": 300}, '"cache_write".*anthropic'),
    "write-30m": ({"input": 400, "cache_writes": {"1800": 800}, "output": 300}, '"1800"'),
    "write-1h": ({"input": 400, "cache_writes": {"3600": 800}, "output": 300}, '"3600"'),
    "write-12h": ({"input": 400, "cache_writes": {"43200": 800}, "output": 300}, '"43200"'),
    "long": ({"input": 600_000, "output": 1000}, None),
    "long-cached": ({"input": 300_000, "cached_input": 300_000, "output": 1000}, '"above"'),
    "long-write": ({"input": 300_000, "cache_write": 300_000, "output": 1000}, '"above": .[^]]*"cache_write"'),
    "at-200k": ({"input": 200_000, "output": 1000}, '"above"'),
    "above-200k": ({"input": 200_001, "output": 1000}, '"above"'),
    "at-256k": ({"input": 256_000, "output": 1000}, '"above"'),
    "batch": ({"input": 1200, "output": 300, "tier": "batch"}, '"batch"'),
    "batch-cached": ({"input": 400, "cached_input": 800, "output": 300, "tier": "batch"}, '"batch"'),
    "batch-long": ({"input": 600_000, "output": 1000, "tier": "batch"}, '"batch"'),
    "flex": ({"input": 400, "cached_input": 800, "output": 300, "reasoning": 50, "tier": "flex"}, '"flex"'),
    "flex-long": ({"input": 300_000, "cached_input": 300_000, "output": 1000, "tier": "flex"}, '"flex"'),
    "priority": ({"input": 400, "cached_input": 800, "output": 300, "tier": "priority"}, '"priority"'),
    "priority-long": ({"input": 600_000, "output": 1000, "tier": "priority"}, '"priority"'),
    "ultrafast": ({"input": 400, "cached_input": 800, "output": 300, "tier": "ultrafast"}, '"ultrafast"'),
    "fast": ({"input": 400, "cached_input": 800, "output": 300, "speed": "fast"}, '"fast"'),
    "us": ({"input": 400, "cached_input": 800, "output": 300, "region": "us"}, '"us"'),
    "eu": ({"input": 400, "cached_input": 800, "output": 300, "region": "eu"}, '"eu"'),
    "audio": ({"input": 400, "audio_input": 800, "output": 300}, '"audio_input"'),
    "speech": ({"input": 1200, "output": 100, "audio_output": 200}, '"audio_output"'),
    "image": ({"input": 400, "image_input": 800, "output": 300}, '"image_input"'),
    "picture": ({"input": 400, "output": 300, "image_output": 1290}, '"image_output"'),
    "search": ({"input": 1200, "output": 300, "tools": {"web_search": 3}}, '"web_search"'),
}


def prompt(u):
    return sum(u.get(k, 0) for k in ("input", "cached_input", "cache_write", "audio_input", "image_input")) + sum(u.get("cache_writes", {}).values())


def answer(u):
    return sum(u.get(k, 0) for k in ("output", "reasoning", "audio_output", "image_output"))


def carrot(calls, *arguments):
    """Bills (model, usage) pairs. Returns the costs, None where unknown."""
    lines = "".join(json.dumps({"model": m, "usage": u}) + "\n" for m, u in calls)
    text = subprocess.run([CARROT, "price", "explain", "--usages", "-", *arguments], input=lines, text=True, check=True, capture_output=True).stdout
    bills = [json.loads(line, parse_float=Decimal) for line in text.splitlines()]
    assert len(bills) == len(calls)
    return [None if b["usd"] is None else Decimal(b["usd"]) for b in bills]


PREFIXES = {"google": "gemini/", "deepseek": "deepseek/", "qwen": "dashscope/", "mistral": "mistral/", "meta": "meta/", "xai": "xai/",
            "moonshot": "moonshot/", "zhipu": "zai/", "minimax": "minimax/", "amazon": "amazon-nova/"}


def litellm_cost(e, u):
    """Returns LiteLLM's cost of a call of a model of the catalogue."""
    key = PREFIXES.get(e["provider"], "") + e["name"]
    if key not in litellm.model_cost:
        key = e["name"]
    info = litellm.model_cost[key]
    writes = {int(k): v for k, v in u.get("cache_writes", {}).items()}
    details = PromptTokensDetailsWrapper(cached_tokens=u.get("cached_input", 0), audio_tokens=u.get("audio_input", 0), image_tokens=u.get("image_input", 0),
                                         cache_creation_tokens=u.get("cache_write", 0) + sum(writes.values()))
    if writes:
        details.cache_creation_token_details = CacheCreationTokenDetails(
            ephemeral_5m_input_tokens=writes.get(300, 0), ephemeral_30m_input_tokens=writes.get(1800, 0),
            ephemeral_1h_input_tokens=writes.get(3600, 0), ephemeral_12h_input_tokens=writes.get(43200, 0))
    usage = Usage(prompt_tokens=prompt(u), completion_tokens=answer(u), total_tokens=prompt(u) + answer(u), prompt_tokens_details=details,
                  completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=u.get("reasoning", 0), audio_tokens=u.get("audio_output", 0), image_tokens=u.get("image_output", 0)))
    if "region" in u:
        usage.inference_geo = u["region"]
    if "speed" in u:
        usage.speed = u["speed"]
    tier = u.get("tier")
    costs = litellm.cost_per_token(model=key, custom_llm_provider=info["litellm_provider"], usage_object=usage,
                                   prompt_tokens=usage.prompt_tokens, completion_tokens=usage.completion_tokens,
                                   service_tier=None if tier == "batch" else tier, data_residency=u.get("region") if e["provider"] == "openai" else None,
                                   call_type="retrieve_batch" if tier == "batch" else "completion")
    return Decimal(repr(sum(costs)))


VENDORS = {"openai": "openai", "anthropic": "anthropic", "google": "google", "deepseek": "deepseek", "mistral": "mistral", "xai": "x-ai",
           "moonshot": "moonshotai", "zhipu": "zai", "minimax": "minimax"}


def genai_cost(provider, name, u):
    """Returns genai-prices' cost of a call and its id of the model, None if it does not know it."""
    keys = {"input_tokens": prompt(u), "output_tokens": answer(u), "cache_read_tokens": u.get("cached_input", 0),
            "cache_write_tokens": u.get("cache_write", 0) + sum(u.get("cache_writes", {}).values()),
            "cache_write_5m_tokens": u.get("cache_writes", {}).get("300", 0), "cache_write_1h_tokens": u.get("cache_writes", {}).get("3600", 0),
            "input_audio_tokens": u.get("audio_input", 0), "output_audio_tokens": u.get("audio_output", 0),
            "input_image_tokens": u.get("image_input", 0), "output_image_tokens": u.get("image_output", 0),
            "output_reasoning_tokens": u.get("reasoning", 0), "web_searches": u.get("tools", {}).get("web_search", 0)}
    usage = genai_prices.Usage(**{k: v for k, v in keys.items() if v or k in ("input_tokens", "output_tokens")})
    context = {}
    if u.get("tier") == "batch":
        context["processing"] = "batch"
    elif "tier" in u:
        context["service_tier"] = u["tier"]
    if "speed" in u:
        context["speed"] = context["service_tier"] = u["speed"]
    try:
        result = genai_prices.calc_price(usage, name, provider_id=provider, genai_request_timestamp=DAY, price_context=context)
    except LookupError:
        return None, None
    return result.total_price, result.model.id


def genai_json():
    """Returns the data of the installed genai-prices in the form of its data.json."""

    def plain(x):
        if isinstance(x, Decimal):
            return float(x)
        if isinstance(x, (datetime.date, datetime.time)):
            return x.isoformat()
        if isinstance(x, (list, tuple)):
            return [plain(v) for v in x]
        if isinstance(x, dict):
            return {k: plain(v) for k, v in x.items()}
        if hasattr(x, "__dict__"):
            return {k.rstrip("_"): plain(v) for k, v in vars(x).items() if v is not None and not k.startswith("_")}
        return x

    return json.dumps([{"id": p.id, "models": plain(p.models)} for p in genai_data.providers])


def table(first):
    """Returns the rows of the table of docs/prices.md whose head begins with a cell."""
    text = (ROOT / "docs/prices.md").read_text()
    for line in text[text.index(f"| {first} |"):].splitlines()[2:]:
        if not line.startswith("|"):
            break
        yield [cell.strip() for cell in line.strip("|").split("|")]


def rules():
    """Reads the table of explained differences."""
    out = []
    for against, models, usages, relation, why in table("compared with"):
        out.append({"against": against, "models": re.findall(r"`([^`]+)`", models) or ["*"], "usages": re.findall(r"`([^`]+)`", usages) or ["*"], "relation": relation, "why": why, "used": 0})
        assert relation in ("unknown", "higher", "lower", "different") and why, out[-1]
    return out


def relation(ours, theirs):
    if ours is None:
        return "unknown"
    if abs(ours - theirs) <= max(theirs, ours) * Decimal("1e-9") + Decimal("2e-12"):
        return "equal"
    return "higher" if ours > theirs else "lower"


RULES = rules()
counts = collections.defaultdict(collections.Counter)
unexplained = []
disagree = collections.defaultdict(set)  # of a model, the usages for which the lists do


def judge(against, model, usage, ours, theirs, listed=None):
    """Counts a comparison. listed is our bill at the prices of the other list."""
    how = relation(ours, theirs)
    if how == "equal":
        counts[against]["equal"] += 1
        return
    if listed is not None and relation(listed, theirs) == "equal":
        counts[against]["the lists disagree"] += 1
        disagree[model].add(usage)
        return
    for r in RULES:
        if r["against"] == against and (r["relation"] == how or r["relation"] == "different" and how in ("higher", "lower")) and any(
            fnmatch.fnmatchcase(model, m) for m in r["models"]) and any(fnmatch.fnmatchcase(usage, m) for m in r["usages"]):
            r["used"] += 1
            counts[against]["explained"] += 1
            return
    counts[against]["not explained"] += 1
    unexplained.append((against, model, usage, how, ours, theirs))


def usages(e):
    """Returns the calls that an entry is billed for. Embeddings have no output."""
    for name, (u, pattern) in USAGES.items():
        if pattern is None or re.search(pattern, json.dumps(e)):
            if not e.get("output") and "embed" in e["name"]:
                u = {k: v for k, v in u.items() if k not in ("output", "reasoning")}
            yield name, u


def run(work):
    # The catalogue in the binary is what its command makes of LiteLLM's list.
    lists = pathlib.Path(litellm.__file__).parent / "model_prices_and_context_window_backup.json"
    made = work / "catalogue.json"
    report = subprocess.run([CARROT, "price", "import", "litellm", lists, "--source", "LiteLLM 1.110.2", "--date", DATE, "--out", made, "--json"], check=True, capture_output=True)
    report = json.loads(report.stdout)
    told = re.search(r"Of the ([\d,]+) entries of LiteLLM 1.110.2, (\d+) are imported, (\d+) of them incomplete, and (\d+) more", (ROOT / "docs/prices.md").read_text())
    found = [report["read"], report["imported"], len(report["incomplete"]), report["aliases"]]
    assert [int(n.replace(",", "")) for n in told.groups()] == found, f"docs/prices.md does not say {found}"
    assert made.read_bytes() == (ROOT / "price/catalogue.json").read_bytes(), "price/catalogue.json is not what carrot price import makes of LiteLLM 1.110.2"
    catalogue = json.loads(made.read_text())["models"]

    # What we make of genai-prices' list bills as genai-prices does.
    data, book = work / "data.json", work / "genai.json"
    data.write_text(genai_json())
    subprocess.run([CARROT, "price", "import", "genai-prices", data, "--date", DATE, "--out", book], check=True, capture_output=True)
    entries = json.loads(book.read_text())["models"]
    models = collections.defaultdict(set)
    calls = [(e, usage, u) for e in entries for usage, u in usages(e) if "region" not in u]
    for (e, usage, u), cost in zip(calls, carrot([(e["name"], u) for e, _, u in calls], "--prices", book)):
        theirs, _ = genai_cost((VENDORS | {"amazon": "aws"})[e["provider"]], e["name"], u)
        if theirs is not None:
            models["genai-prices, at its prices"].add(e["name"])
            judge("genai-prices, at its prices", e["name"], usage, cost, theirs)

    # The catalogue's bills are those of LiteLLM, and where the lists agree, of genai-prices.
    calls = [(e, usage, u) for e in catalogue for usage, u in usages(e)]
    ours = carrot([(e["name"], u) for e, _, u in calls])
    other = []
    for (e, usage, u), cost in zip(calls, ours):
        if usage != "search":  # which cost_per_token does not bill
            models["LiteLLM"].add(e["name"])
            judge("LiteLLM", e["name"], usage, cost, litellm_cost(e, u))
        if e["provider"] in VENDORS and "region" not in u and not {"1800", "43200"} & set(u.get("cache_writes", {})):
            theirs, name = genai_cost(VENDORS[e["provider"]], e["name"], u)
            if theirs is not None:
                other.append((e, usage, u, cost, theirs, name))
    for (e, usage, u, cost, theirs, _), listed in zip(other, carrot([(c[5], c[2]) for c in other], "--prices", book)):
        models["genai-prices"].add(e["name"])
        judge("genai-prices", e["name"], usage, cost, theirs, listed)

    for against, c in counts.items():
        print(f"{against}: {len(models[against])} models, {sum(c.values())} bills:", ", ".join(f"{n} {how}" for how, n in sorted(c.items())))
    if VERBOSE:
        for r in RULES:
            print(r["used"], r["against"], r["models"], r["usages"], r["relation"])
        for model in sorted(disagree):
            print("the lists disagree on", model, *sorted(disagree[model]))


with tempfile.TemporaryDirectory() as folder:
    run(pathlib.Path(folder))
for u in unexplained if VERBOSE else unexplained[:20]:
    print("not explained:", *u)
unused = [r for r in RULES if not r["used"]]
for r in unused:
    print("a row of docs/prices.md explains nothing:", r["against"], r["models"], r["usages"], r["relation"])
listed = {m for row in table("models on which the lists disagree") for m in re.findall(r"`([^`]+)`", row[0])}
for model in sorted(listed ^ set(disagree)):
    print("the table of models on which the lists disagree in docs/prices.md", "names" if model in listed else "lacks", model)
sys.exit(bool(unexplained or unused or listed ^ set(disagree)))
