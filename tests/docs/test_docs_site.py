"""The site builds without a warning, and its generated pages are those of the code."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dwcp_ml.rollout.state import TERMINAL, Phase

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "rollout" / "decide_table.md"


@pytest.fixture(scope="module", autouse=True)
def tools():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tools")
        yield


def build(config, out):
    command = ["mkdocs", "build", "--strict", "--config-file", config, "--site-dir", out]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    program = [sys.executable, "-m", *command]
    return subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", out)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_generated_pages_are_those_of_the_code():
    command = [sys.executable, "tools/docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_site_asks_no_other_host(site):
    for page in site.rglob("*.html"):
        text = page.read_text()
        loaded = re.findall(r'<(?:script|img|iframe)[^>]+src="([^"]+)"', text)
        loaded += re.findall(r'<link[^>]+rel="(?:stylesheet|preconnect)"[^>]*href="([^"]+)"', text)
        assert not [url for url in loaded if "//" in url], page
        assert 'data-md-component="source"' not in text, "it would ask the forge for its stars"


def test_no_list_or_table_is_left_as_text(site):
    for page in site.rglob("*.html"):
        prose = re.sub(r"<pre.*?</pre>", "", page.read_text(), flags=re.DOTALL)
        for paragraph in re.findall(r"<p>(.*?)</p>", prose, flags=re.DOTALL):
            assert not re.search(r"(?m)^\s*(?:[-*] |\||\d+\. |```|#+ )", paragraph), (
                page,
                paragraph,
            )


def test_links_that_leave_docs_lead_into_the_repository(site):
    text = (site / "rollout.html").read_text()
    url = "https://github.com/dwcp/dwcp-ml"
    assert f'href="{url}/blob/main/src/dwcp_ml/rollout/decide.py"' in text
    assert f'href="{url}/tree/main/manifests/monitoring"' in (site / "monitoring.html").read_text()
    assert 'href="rollout-faults.html"' in text


@pytest.mark.parametrize("link", ["../src/none.py", "../../outside.md", "none.md"])
def test_a_link_to_nothing_fails_the_build(tmp_path, link):
    (tmp_path / "docs").mkdir()
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    (tmp_path / "docs" / "index.md").write_text(f"# Start\n\n[x]({link})\n")
    config = (ROOT / "mkdocs.yml").read_text()
    (tmp_path / "mkdocs.yml").write_text(config[: config.index("nav:")])
    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    assert link.rpartition("/")[2] in done.stdout + done.stderr


def test_the_hook_leaves_links_within_docs_alone():
    from mkdocs_hooks import outward

    inside = "[a](../schema.md) [b](https://x/../y) [c](#d)"
    assert outward(inside, "howto/own-data.md", "https://forge/{kind}") == inside
    moved = outward("[a](../README.md#serve-it)", "rollout.md", "https://forge/{kind}")
    assert moved == "[a](https://forge/blob/README.md#serve-it)"


@pytest.mark.parametrize(
    ("written", "rendered"),
    [
        ("one:\n- a\n- b", "one:\n\n- a\n- b"),
        ("```\nx\n- a\n```", "```\nx\n- a\n```"),
        ("- a\n  more\n\n      code\n\nend\n\n    code", None),
        ("1. a\n   - b\n2. c", None),
    ],
)
def test_lists_read_on_the_site_as_on_a_forge(written, rendered):
    from markdown import markdown
    from mkdocs_hooks import listed

    assert rendered is None or listed(written) == rendered
    html = markdown(listed(written), extensions=["fenced_code"])
    assert html.count("<li>") == (
        0 if "```" in written else len(re.findall(r"(?m)^ *[-12]", written))
    )
    assert html.count("<code>") == written.count("code") + written.count("```") // 2


def test_every_phase_that_decide_was_seen_to_go_to_is_in_the_diagram():
    from docs_phases import diagram, ways

    known = ways()
    reached = {phase: closure(known, phase) for phase in Phase}  # a look may pass several
    assert set(known) == set(Phase)
    assert not any(known[phase] for phase in TERMINAL)
    section = None
    for line in TABLE.read_text().splitlines():
        if line.startswith("## "):
            section = next((p for p in Phase if line[3:].split(",")[0].split()[0] == p), None)
        elif section and line.startswith("| ") and not line.startswith("| look"):
            for word in re.findall(r"[A-Za-z]+", line.split("|")[2]):
                if word in set(Phase):
                    assert Phase(word) in reached[section], (section, line)
    assert all(f">{phase.value}</text>" in diagram() for phase in Phase)


def closure(known, phase):
    found, waiting = {phase}, [phase]
    while waiting:
        new = known[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_every_parameter_has_a_meaning():
    from docs_params import params_page

    rows = [line for line in params_page().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert all(line.split("|")[-2].strip() for line in rows)
