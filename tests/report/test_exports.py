"""
What other programs read has the form of its format, and says what the recording says.

The schemas are the needed parts of the published ones: speedscope's file format, SARIF 2.1.0, and
the Trace Event Format. Additional keys are forbidden where the publisher forbids them.
"""

import jsonschema
import pytest

from tensortoll.comparison import compare
from tensortoll.model import Failure, Finding, Hazard, Source
from tensortoll.recording import Recording
from tensortoll.report.exports import EXPORTS, perfetto, sarif, speedscope
from tensortoll.trace import Event, Trace

TEXT = {"type": "string"}
WHOLE = {"type": "integer", "minimum": 0}
SPEEDSCOPE = {
    "type": "object",
    "required": ["$schema", "shared", "profiles"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "https://www.speedscope.app/file-format-schema.json"},
        "name": TEXT,
        "exporter": TEXT,
        "activeProfileIndex": WHOLE,
        "shared": {
            "type": "object",
            "required": ["frames"],
            "properties": {
                "frames": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name"],
                        "additionalProperties": False,
                        "properties": {"name": TEXT, "file": TEXT, "line": WHOLE, "col": WHOLE},
                    },
                }
            },
        },
        "profiles": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": [
                    *("type", "name", "unit", "startValue", "endValue", "samples", "weights")
                ],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "sampled"},
                    "name": TEXT,
                    "unit": {
                        "enum": [
                            *("bytes", "microseconds", "milliseconds"),
                            *("nanoseconds", "none", "seconds"),
                        ]
                    },
                    "startValue": {"type": "number"},
                    "endValue": {"type": "number"},
                    "samples": {"type": "array", "items": {"type": "array", "items": WHOLE}},
                    "weights": {"type": "array", "items": {"type": "number"}},
                },
            },
        },
    },
}
MESSAGE = {"type": "object", "required": ["text"], "properties": {"text": {**TEXT, "minLength": 1}}}
POSITIVE = {"type": "integer", "minimum": 1}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "additionalProperties": False,
                "properties": {
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "invocations": {"type": "array"},
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": TEXT,
                                    "version": TEXT,
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {"id": TEXT, "shortDescription": MESSAGE},
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": TEXT,
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": MESSAGE,
                                "partialFingerprints": {
                                    "type": "object",
                                    "additionalProperties": TEXT,
                                },
                                "locations": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "additionalProperties": False,
                                                "properties": {
                                                    "artifactLocation": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "uri": {
                                                                "type": "string",
                                                                "pattern": "^[A-Za-z0-9%/._~-]+$",
                                                            }
                                                        },
                                                    },
                                                    "region": {
                                                        "type": "object",
                                                        "additionalProperties": False,
                                                        "properties": {
                                                            "startLine": POSITIVE,
                                                            "startColumn": POSITIVE,
                                                            "endLine": POSITIVE,
                                                            "endColumn": POSITIVE,
                                                        },
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
TRACE_EVENTS = {
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "otherData": {"type": "object"},
        "traceEvents": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["ph", "name", "pid", "tid"],
                "properties": {
                    "name": TEXT,
                    "pid": WHOLE,
                    "tid": WHOLE,
                    "args": {"type": "object"},
                },
                "oneOf": [
                    {
                        "required": ["ts", "dur", "cat"],
                        "properties": {
                            "ph": {"const": "X"},
                            "cat": TEXT,
                            "ts": {"type": "number", "minimum": 0},
                            "dur": {"type": "number", "minimum": 0},
                        },
                    },
                    {
                        "required": ["args"],
                        "properties": {
                            "ph": {"const": "M"},
                            "name": {"enum": ["process_name", "thread_name"]},
                            "args": {"type": "object", "required": ["name"]},
                        },
                    },
                ],
            },
        },
    },
}
SCRIPT = Source("src\\train me.py", "t = torch.tensor(x)\n")


def recordings(samples):
    """
    As real cells leave them, an empty one, and one with everything that is to be looked at.
    """
    costly = samples.costly(observed=True)
    source = costly.sources[0]
    return [
        Recording(),
        costly,
        samples.loop(),
        costly.without_text(),
        Recording(
            sources=(source, SCRIPT),
            failures=(Failure(SCRIPT, 1, "f(x)", "ValueError: no.", "ragged", "Why.", "Do."),),
            hazards=(Hazard(source, 2, 0, "x", "t", ""),),
            findings=(
                Finding("TT101", source, 4, "Cast once.", "torch.from_numpy(x)", True, 9_000, 0),
                Finding("TT201", SCRIPT, 1, "", "", False),
            ),
        ),
    ]


def test_flame_graphs_have_speedscopes_form(samples):
    """
    Frames exist, each sample has its weight, and the weights end where the profile does.
    """
    for recording in recordings(samples):
        document = speedscope.flame_graph(recording)
        jsonschema.validate(document, SPEEDSCOPE)
        for profile in document["profiles"]:
            assert len(profile["samples"]) == len(profile["weights"])
            assert sum(profile["weights"]) == profile["endValue"]
            known = range(len(document["shared"]["frames"]))
            assert all(frame in known for stack in profile["samples"] for frame in stack)


def test_flame_graphs_hold_all_bytes(samples):
    """
    The widths are the recording's own numbers, and the lines are named with their text.
    """
    recording = samples.costly()
    written, read, time = speedscope.flame_graph(recording)["profiles"]
    frames = speedscope.flame_graph(recording)["shared"]["frames"]

    assert recording.bytes_written == written["endValue"]
    assert recording.bytes_read == read["endValue"]
    assert recording.totals.elapsed_ns == time["endValue"]
    assert "line 4: t = torch.tensor(x, dtype=torch.float32)" in [one["name"] for one in frames]


def test_annotations_have_sarifs_form(samples):
    """
    Also for names with spaces and backslashes, lines that are unknown, and texts that are empty.
    """
    for recording in recordings(samples):
        document = sarif.findings(recording)
        jsonschema.validate(document, SARIF)
        (run,) = document["runs"]
        rules = [one["id"] for one in run["tool"]["driver"]["rules"]]
        assert all(one["ruleId"] == rules[one["ruleIndex"]] for one in run["results"])
        for other in recordings(samples):
            jsonschema.validate(sarif.increases(compare(recording, other)), SARIF)


def test_annotations_say_what_is_to_be_done(samples):
    """
    Failures and hazards are errors, what was tried out is a warning, other findings are notes.
    """
    (run,) = sarif.findings(recordings(samples)[-1])["runs"]
    told = {one["ruleId"]: one for one in run["results"]}

    assert {
        "conversion-fails": "error",
        "shared-memory-written": "error",
        "TT101": "warning",
        "TT201": "note",
    } == {rule: one["level"] for rule, one in told.items()}
    assert (
        "Cast once. Write: torch.from_numpy(x). Saves 9.00 kB, tried out."
        == (told["TT101"]["message"]["text"])
    )
    where = told["conversion-fails"]["locations"][0]["physicalLocation"]
    assert {"uri": "src/train%20me.py"} == where["artifactLocation"]


def test_a_result_is_the_same_when_its_line_moves(samples):
    """
    A code host must not take it for a new one.
    """

    def mark(line):
        failure = Failure(SCRIPT, line, "f(x)", "ValueError: no", "ragged", "why", "do")
        (run,) = sarif.findings(Recording(failures=(failure,)))["runs"]
        return run["results"][0]["partialFingerprints"]

    assert mark(3) == mark(9)


def test_too_many_results_are_cut_and_told():
    """
    Code hosts refuse a file with more.
    """
    failures = tuple(
        Failure(SCRIPT, 1, f"f({number})", "no", "other", "", "") for number in range(6_000)
    )
    document = sarif.findings(Recording(failures=failures))
    (run,) = document["runs"]
    jsonschema.validate(document, SARIF)

    assert sarif.MOST_RESULTS == len(run["results"])
    (notification,) = run["invocations"][0]["toolExecutionNotifications"]
    assert "1,000 more results" in notification["message"]["text"]


def test_timelines_have_the_form_of_trace_events(samples):
    """
    Slices and names of threads, with times that are never negative; also of an empty trace.
    """
    routes = [one.route for one in samples.costly().conversions]
    events = tuple(Event(route, 1_500 * n, 700, 1, 9, n % 2) for n, route in enumerate(routes))
    for trace in (Trace(), Trace(events, 3, ("main", "thread"))):
        document = perfetto.timeline(trace)
        jsonschema.validate(document, TRACE_EVENTS)
        slices = [one for one in document["traceEvents"] if one["ph"] == "X"]

        assert len(trace.events) == len(slices)
        assert trace.dropped == document["otherData"]["dropped_before"]
    assert [0.0, 1.5] == [one["ts"] for one in slices[:2]]


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_writes_an_empty_recording(name):
    """
    Nothing to say is said in the right form.
    """
    assert isinstance(EXPORTS[name].document(Recording()), dict)
