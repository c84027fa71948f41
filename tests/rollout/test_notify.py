"""Webhooks over real HTTP, and the rollout's own metrics."""

import json
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from two_revisions import free_port, serving, until

from dwcp_ml.rollout.notify import TRIES, Notifier
from dwcp_ml.rollout.rollout_metrics import RolloutMetrics
from dwcp_ml.rollout.spec import Webhook
from dwcp_ml.rollout.state import GateResult, Phase, RolloutState


class Hook:
    """Answers the given codes in turn, the last one for ever."""

    def __init__(self, *codes):
        self.codes, self.got = list(codes), []

    async def __call__(self, scope, receive, send):
        body = b""
        more = True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.got.append(json.loads(body))
        code = self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]
        await send({"type": "http.response.start", "status": code, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})


def sent(hook, topic="promoted", tmp_path=None):
    """Outcomes of one message."""
    port, told = free_port(), []
    url = f"http://127.0.0.1:{port}/hook"
    webhook = Webhook(url=url)
    if tmp_path is not None:
        (tmp_path / "url").write_text(url + "\n")
        webhook = Webhook(url_file=str(tmp_path / "url"))
    notifier = Notifier(told.append, wait_s=0.01)
    with serving(hook, port):
        notifier.send([webhook], topic, "all is well")
        if topic in webhook.on:
            until(lambda: told)
        notifier.close()
    return told


def test_a_message_is_slacks_json(tmp_path):
    hook = Hook(200)
    assert sent(hook, tmp_path=tmp_path) == ["sent"]
    assert hook.got == [{"text": "all is well"}]


def test_a_topic_that_is_not_subscribed_is_not_sent():
    hook = Hook(200)
    assert sent(hook, topic="step") == []
    assert hook.got == []


def test_errors_and_limits_are_tried_again():
    hook = Hook(503, 429, 200)
    assert sent(hook) == ["sent"]
    assert len(hook.got) == 3


@pytest.mark.parametrize(("code", "tries"), [(404, 1), (500, TRIES)])
def test_a_message_is_given_up_in_the_end(code, tries):
    hook = Hook(code)
    assert sent(hook) == ["failed"]
    assert len(hook.got) == tries


def test_a_webhook_that_cannot_be_reached_never_raises():
    told = []
    notifier = Notifier(told.append, wait_s=0.001)
    dead = Webhook(url=f"http://127.0.0.1:{free_port()}/")
    notifier.send([dead, Webhook(url_file="/no/such/file"), Webhook(url="nonsense")], "halted", "x")
    until(lambda: len(told) == 3)
    notifier.close()
    assert told == ["failed"] * 3


def test_metrics_follow_the_state_and_are_forgotten_with_the_rollout():
    registry = CollectorRegistry()
    metrics = RolloutMetrics(registry)
    of = {"namespace": "models", "rollout": "m"}
    gates = (GateResult("errors", "pass", "", effect=0.001), GateResult("p99", "inconclusive", ""))
    state = RolloutState(phase=Phase.PROGRESSING, step=1, percent=5, gates=gates)
    metrics.saw("models", "m", state)
    assert (
        registry.get_sample_value("model_rollout_transitions_total", {**of, "phase": "Aborting"})
        == 0
    )
    metrics.saw("models", "m", replace(state, phase=Phase.ABORTING, percent=0, gates=gates[:1]))
    metrics.problem("models", "m", "race")
    metrics.webhook("sent")

    def value(name, **labels):
        return registry.get_sample_value(f"model_rollout_{name}", labels)

    assert value("phase", **of, phase="Aborting") == 1
    assert value("phase", **of, phase="Progressing") == 0
    assert value("percent", **of) == 0
    assert value("transitions_total", **of, phase="Aborting") == 1
    assert value("gate_verdict", **of, gate="errors", verdict="pass") == 1
    assert value("gate_verdict", **of, gate="p99", verdict="inconclusive") is None
    assert value("api_errors_total", **of, kind="race") == 1
    assert value("webhooks_total", outcome="sent") == 1
    metrics.forget("models", "m")
    assert b'rollout="m"' not in generate_latest(registry)
