"""Contenders by turns: each does a little of the work, again and again, so that the machine's drift meets all alike."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from benchmarks.runtime.environment import ROOT

CLIENTS = 8
# Twice as many questions as the service's cache holds by default.
TURNED = 9
Figures = dict[str, float]


@dataclass(frozen=True)
class Entry:
    """A contender as the tables name it, the store it uses, and the command that runs it."""

    name: str
    store: str
    command: Sequence[str]
    clients: int = CLIENTS


@dataclass(frozen=True)
class Plan:
    """How much is asked: turns of so many questions by one client, and of about so many seconds by all."""

    turns: int = 10
    questions: int = 20
    busy_turns: int = 5
    busy_seconds: float = 2.0
    repeats: int = 200


@dataclass
class Player:
    """One contender's process."""

    entry: Entry
    process: subprocess.Popen[str]
    questions: Iterator[str]
    figures: Figures = field(default_factory=dict)

    @classmethod
    def start(cls, entry: Entry, questions: Sequence[str], arguments: Mapping[str, object]) -> Player:
        flags = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
        began = time.perf_counter()
        process = subprocess.Popen(
            [*entry.command, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"},
        )
        player = cls(entry, process, cycle(_turned(questions)))
        own = float(player._answer()["seconds"])
        # ragops is started by its client, whose own start is none of its doing.
        player.figures["start s"] = own if entry.name == "ragops" else time.perf_counter() - began
        return player

    def do(self, what: str, **more: object) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def ask(self, count: int, clients: int = 1) -> dict[str, Any]:
        """The next so many questions, which are the same for every contender that was asked as many before."""
        return self.do("ask", questions=list(islice(self.questions, count)), clients=clients)

    def call(self, name: str, **more: object) -> Any:
        return self.do("call", name=name, **more)["value"]

    def end(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(120)
        self.process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.entry.name} ended; its last words are above")
        answer: dict[str, Any] = json.loads(line)
        return answer


def measure(
    entries: Sequence[Entry], plan: Plan, *, model: Path, hub: Path, corpus: Path, work: Path, questions: Sequence[str]
) -> dict[str, Figures]:
    """Every figure of every contender, one whole run."""
    count = len(json.loads(corpus.read_text(encoding="utf-8"))["chunks"])
    threads = len(os.sched_getaffinity(0))
    players: list[Player] = []
    try:
        for number, entry in enumerate(entries):
            folder = work / str(number)
            folder.mkdir(parents=True)
            arguments = {"model": model, "hub": hub, "corpus": corpus, "work": folder, "threads": threads}
            players.append(Player.start(entry, questions, arguments))
        for player in players:
            player.figures["ingest docs/s"] = count / player.do("ingest")["seconds"]
        _ask_alone(players, plan)
        _ask_together([player for player in players if player.entry.clients > 1], plan)
        for player in players:
            player.figures["peak MB"] = player.do("memory")["peak_mb"]
            if player.entry.name == "ragops":
                _ask_service(player, plan, questions)
    finally:
        for player in players:
            player.end()
    return {player.entry.name: player.figures for player in players}


def _turned(questions: Sequence[str]) -> list[str]:
    """Each question beginning at another of its words, so that no cache has an answer by the time one comes again."""
    words = [question.split() for question in questions]
    return [" ".join(each[turn % len(each) :] + each[: turn % len(each)]) for turn in range(TURNED) for each in words]


def _ask_alone(players: Sequence[Player], plan: Plan) -> None:
    times: dict[str, list[float]] = {player.entry.name: [] for player in players}
    spent = {player.entry.name: 0.0 for player in players}
    for player in players:
        player.ask(plan.questions)
    for _ in range(plan.turns):
        for player in players:
            done = player.ask(plan.questions)
            times[player.entry.name] += done["milliseconds"]
            spent[player.entry.name] += done["cpu_seconds"]
    for player in players:
        found = times[player.entry.name]
        player.figures["p50 ms"], player.figures["p95 ms"] = statistics.median(found), percentile(found, 0.95)
        player.figures["CPU ms"] = spent[player.entry.name] * 1000 / len(found)


def _ask_together(players: Sequence[Player], plan: Plan) -> None:
    """The slow are asked fewer questions in a turn, so that turns last alike."""
    times: dict[str, list[float]] = {player.entry.name: [] for player in players}
    rates: dict[str, list[float]] = {player.entry.name: [] for player in players}
    sizes = {}
    for player in players:
        tried = player.ask(3 * CLIENTS, CLIENTS)
        sizes[player.entry.name] = max(3 * CLIENTS, int(3 * CLIENTS / tried["seconds"] * plan.busy_seconds))
    for _ in range(plan.busy_turns):
        for player in players:
            name = player.entry.name
            done = player.ask(sizes[name], CLIENTS)
            times[name] += done["milliseconds"]
            rates[name].append(sizes[name] / done["seconds"])
    for player in players:
        found = times[player.entry.name]
        player.figures["q/s, 8 clients"] = statistics.median(rates[player.entry.name])
        player.figures["p95/p50, 8 clients"] = percentile(found, 0.95) / statistics.median(found)


def _ask_service(player: Player, plan: Plan, questions: Sequence[str]) -> None:
    """What only a service has: liveness, the same question again, an answer in words, a start with all its chunks."""
    again: list[float] = []
    alive: list[float] = []
    for _ in range(plan.turns):
        alive += player.call("times", method="GET", path="/livez", bodies=[None] * (plan.repeats // plan.turns))
        same = [{"question": questions[0]}] * (plan.repeats // plan.turns)
        again += player.call("times", method="POST", path="/v1/query", bodies=same)
    fresh = [{"question": f"{question} ({number})"} for number, question in enumerate(questions[: plan.repeats])]
    answers = player.call("times", method="POST", path="/v1/query", bodies=fresh)
    explained = [{"query": body["question"], "explain": True} for body in fresh]
    explanations = player.call("times", method="POST", path="/v1/retrieve", bodies=explained)
    player.figures["explained p50 ms"] = statistics.median(explanations)
    player.figures["/livez ms"] = statistics.median(alive)
    player.figures["same question again ms"] = statistics.median(again)
    player.figures["answer p50 ms"] = statistics.median(answers)
    player.figures["start again s"] = player.call("restart")
    player.figures["MB after that"] = player.do("memory")["mb"]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
