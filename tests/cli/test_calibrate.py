"""
`calibrate` measures copies by size and what watching costs, and writes it down.
"""

import json

from tensortoll import cli
from tensortoll.capture.costs import calibration


def test_this_machine_is_measured(tmp_path, monkeypatch, capsys):
    """
    Every size has three speeds, every library a cost; table and file say the same sizes.
    """
    monkeypatch.setattr(calibration.copies, "__defaults__", ((4_096, 65_536),))
    path = tmp_path / "machine.json"

    assert 0 == cli.main(["calibrate", "--libraries", "numpy", "--json", str(path)])

    document = json.loads(path.read_text())
    told = capsys.readouterr()

    assert "tensortoll-calibration" == document["format"]
    assert [4_096, 65_536] == [one["nbytes"] for one in document["copies_bytes_per_s"]]
    for one in document["copies_bytes_per_s"]:
        # A gigabyte a second is slow for any memory; ten terabytes is nobody's.
        assert all(10**8 < one[key] < 10**13 for key in ("warm", "new", "cast"))
    assert ["numpy"] == list(document["event_ns"])
    assert "64 KiB" in told.out
    assert "watching numpy" in told.out
    assert "" == told.err


def test_a_traced_script_leaves_a_timeline(tmp_path, capfd):
    """
    `run --trace F` writes it; for a notebook it says what to do instead.
    """
    script, path = tmp_path / "s.py", tmp_path / "t.json"
    script.write_text("import numpy as np\nb = np.ones(1000).astype('f4')\n")

    assert 0 == cli.main(["run", "--quiet", "--trace", str(path), str(script)])
    slices = [one for one in json.loads(path.read_text())["traceEvents"] if one["ph"] == "X"]

    assert ["np.ones(1000).astype('f4')"] == [one["name"] for one in slices]

    notebook = tmp_path / "n.ipynb"
    notebook.write_text("{}")

    assert 2 == cli.main(["run", "--trace", str(path), str(notebook)])
    assert "%%tensorcost --trace" in capfd.readouterr().err
