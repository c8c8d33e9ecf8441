"""pandas: what goes into frames and columns, what comes out, and what stays inside."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tensortoll

START = """
import numpy as np, pandas as pd, pyarrow as pa
n = 1000; c = np.arange(1000.0); i = np.arange(n); x = np.arange(4000.0).reshape(n, 4)
df = pd.DataFrame(x, columns=list("abcd")); s = pd.Series(c); lists = {"a": [1.0] * n}
mixed = pd.DataFrame({"n": i, "x": c}); two = pd.DataFrame({"a": c}); two["b"] = c
wide = pd.DataFrame({"n": i, "x": c, "s": ["ab"] * n, "o": [object()] * n})
whole = pd.Series(i, dtype="Int64"); holes = pd.Series([1, None] * 500, dtype="Int64")
arrow = pd.Series(c, dtype="float64[pyarrow]"); text = pd.Series(["abc"] * n); o = wide["o"]
arrow_holes = pd.Series([1.0, None] * 500, dtype="float64[pyarrow]"); b = s > 5
group = pd.Series(["u", "v"] * 500, dtype="category")
days = pd.Series(pd.date_range("2020", periods=n))
three = mixed.assign(m=i.astype("i4"))
thin = pd.DataFrame({"s": pd.arrays.SparseArray(i % 3), "x": c, "k": i})
four = three.assign(k=i)
local = days.dt.tz_localize("UTC"); fixed = c.copy(); fixed.flags.writeable = False
"""
TABLE = """
df.to_numpy() | df | view | 0 0 | pandas:float64 numpy:float64
df.values | df | view | 0 0 | pandas:float64 numpy:float64
np.asarray(df) | df | view | 0 0 | pandas:float64 numpy:float64
np.array(df) | df | copy | 32000 32000 | pandas:float64 numpy:float64
df.to_numpy(copy=True) | df | copy | 32000 32000 | pandas:float64 numpy:float64
df.to_numpy(dtype="float32") | df | copy cast | 32000 16000 | pandas:float64 numpy:float32
df[["a", "c"]].to_numpy() | df | view | 0 0 | pandas:float64 numpy:float64
df.iloc[10:500].to_numpy() | df | view | 0 0 | pandas:float64 numpy:float64
df.iloc[::2].values | df | view | 0 0 | pandas:float64 numpy:float64
df["a"].values | df | view | 0 0 | pandas:float64 numpy:float64
mixed.to_numpy() | mixed | copy cast | 16000 16000 | pandas:mixed numpy:float64
wide.values | wide | copy cast | 34008 32000 | pandas:mixed numpy:object
wide[["n", "x"]].to_numpy() | wide | copy cast | 16000 16000 | pandas:mixed numpy:float64
two.to_numpy() | two | copy | 16000 16000 | pandas:float64 numpy:float64
two["b"].to_numpy() | two | view | 0 0 | pandas:float64 numpy:float64
whole.to_numpy() | whole | view | 0 0 | pandas:int64 numpy:int64
holes.to_numpy(float, na_value=np.nan) | holes | copy cast | 8000 8000 | pandas:int64 numpy:float64
arrow.to_numpy() | arrow | view | 0 0 | pandas:float64 numpy:float64
arrow_holes.to_numpy() | arrow_holes | copy | 8000 8000 | pandas:float64 numpy:float64
text.to_numpy() | text | copy cast | 11008 8000 | pandas:str numpy:object
o.to_numpy() | o | view | 0 0 | pandas:object numpy:object
group.to_numpy() | group | copy cast | 1000 8000 | pandas:category numpy:object
days.to_numpy() | days | view | 0 0 | pandas:datetime64[us] numpy:datetime64[us]
local.to_numpy() | local | copy cast | 8000 8000 | pandas:datetime64[us] numpy:object
b.to_numpy() | b | view | 0 0 | pandas:bool numpy:bool
df.to_records() | df | copy layout | 32000 40000 | pandas:float64 numpy:void
text.tolist() | text | copy unbox | 11008 0 | pandas:str python:str
s.to_list() | s | copy unbox | 8000 0 | pandas:float64 python:float64
df.to_dict("list") | df | copy unbox | 32000 0 | pandas:float64 python:float64
df.astype("float32") | df | copy cast | 32000 16000 | pandas:float64 pandas:float32
four.astype({"n": "float64"}) | four | copy cast | 8000 8000 | pandas:mixed pandas:mixed
four.astype({"m": "int64"}) | four | copy cast | 4000 8000 | pandas:mixed pandas:mixed
thin.astype({"s": "int64"}) | thin | copy | 5328 8000 | pandas:mixed pandas:mixed
df.astype({"a": "float32"}) | df | copy cast | 8000 4000 | pandas:float64 pandas:mixed
three.astype({"n": "int32"}) | three | copy cast | 8000 4000 | pandas:mixed pandas:mixed
three.copy() | three | copy | 20000 20000 | pandas:mixed pandas:mixed
s.astype("Int64") | s | copy cast | 8000 8000 | pandas:float64 pandas:int64
s.astype(str) | s | copy cast | 8000 12898 | pandas:float64 pandas:str
text.astype("category") | text | copy cast | 11008 1000 | pandas:str pandas:category
df.copy() | df | copy | 32000 32000 | pandas:float64 pandas:float64
whole.copy() | whole | copy | 8000 8000 | pandas:int64 pandas:int64
pd.DataFrame(x) | x | copy layout | 32000 32000 | numpy:float64 pandas:float64
pd.DataFrame(x, copy=False) | x | view | 0 0 | numpy:float64 pandas:float64
pd.DataFrame(fixed, copy=False) | fixed | view | 0 0 | numpy:float64 pandas:float64
pd.DataFrame({"a": c, "b": c}) | c | copy | 16000 16000 | numpy:float64 pandas:float64
pd.DataFrame({"a": c, "b": i}) | [c, i] | copy | 16000 16000 | numpy:mixed pandas:mixed
pd.DataFrame({"a": c}, copy=False) | c | view | 0 0 | numpy:float64 pandas:float64
pd.DataFrame(data=lists) | lists | copy parse | 0 8000 | python:object pandas:float64
pd.Series(c) | c | copy | 8000 8000 | numpy:float64 pandas:float64
pd.Series(c, copy=False) | c | view | 0 0 | numpy:float64 pandas:float64
pd.Series(data=c, index=i) | c | copy | 8000 8000 | numpy:float64 pandas:float64
pd.Series(c, dtype="float32") | c | copy cast | 8000 4000 | numpy:float64 pandas:float32
pd.Series(range(1000)) | 0 | copy parse | 0 8000 | python:object pandas:int64
pd.Index(c) | c | copy | 8000 8000 | numpy:float64 pandas:float64
pd.array(i, dtype="Int64") | i | copy | 8000 8000 | numpy:int64 pandas:int64
"""
SILENT = """
df[df.a > 5]; df.loc[:10, ["a", "b"]]; df.iloc[3:9]; df["a"]; df.a.head(); df.T
df[df["a"].isin([1, 2])]
df + 1; df * x; df["a"] + df["b"]; np.sqrt(df); s.rolling(24).mean().dropna(); df.cumsum()
df.clip(0, 1); df.abs()
df.mean(); df.describe(); df.groupby("a").agg(["mean", "max"]); df.corr(); s.value_counts()
s.nunique(); df.sum()
df.merge(mixed, left_on="a", right_on="x"); df.join(mixed); pd.concat([df, df])
pd.concat([s, s], axis=1); df.assign(z=s)
df.sort_values("a"); df.drop(columns="a"); df.rename(columns={"a": "q"}); df.reset_index()
df.set_index("a"); df.fillna(0)
df.pivot_table(index="a", values="b"); df.melt(); df.apply(np.sum); s.map(abs)
wide["s"].str.upper(); days.dt.hour; df.query("a > 5")
df.copy(deep=False); df.astype("float64"); pd.DataFrame(df); pd.Series(s)
pd.DataFrame({"a": s, "b": s}); df.infer_objects()
whole.values; arrow.values; text.values; group.values; local.array; df.to_dict("series")
whole.array; df.to_numpy; df.values.fget if 0 else 0
for _, part in mixed.assign(k=mixed.n % 3).groupby("k"): part["x"].sum()
for row in df.itertuples(): row.a
__import__("collections").namedtuple("Largest", "values")(x).values
{}["k"] = c; mixed["new"] = np.sqrt(s); mixed["w"] = range(n); mixed["v"] = list(range(n))
mixed["z"] = mixed["n"] * 0.5; mixed["s"] = s; mixed["h"] = days.dt.hour; mixed.loc[0, "x"] = 3.0
mixed["q"] = 1; mixed.iloc[2, 0] = 7; df[["a", "b"]] = [1.0, 2.0]; df[["a", "b"]] = df[["b", "a"]]
print(df, s, file=open(__import__("os").devnull, "w")); repr(df)
df.info(buf=__import__("io").StringIO()); df._repr_html_()
{"a": 1}.values(); sorted({"b": 2}.values()); pd.Series(dtype=float); pd.DataFrame()
pd.DataFrame({"a": []}).to_numpy()
"""


def test_a_conversion_is_reported_as_memory_tells_it(row: Any, holds: Any) -> None:
    """Outcome, effects, bytes and kinds of each conversion are what they are."""
    holds(row)


def test_what_converts_nothing_is_silent(statement: str, loud: Any) -> None:
    """Work inside the library, and what shares or returns its own memory, is not reported."""
    assert loud(statement) == []


def test_a_frame_of_its_own_columns_and_an_array_is_charged_the_array(loud: Any) -> None:
    """What came from another library is what crossed the border."""
    [(_, outcome, totals)] = loud('pd.DataFrame({"a": c, "b": s})')
    assert (outcome, totals.bytes_written) == ("copy", 8000)


def test_a_frame_of_an_array_and_a_list_is_parsed_in_part(loud: Any) -> None:
    """The list is walked, the array is copied: one conversion with all bytes."""
    [(_, outcome, totals)] = loud('pd.DataFrame({"a": c, "b": [1] * n})')
    assert (outcome, totals.bytes_read, totals.bytes_written) == ("copy", 8000, 16000)


STORED = {
    'df["z"] = c': ("copy", 8000),
    'df["a"] = c': ("copy", 8000),
    'name = "k"; df[name] = c': ("copy", 8000),
    'df["z"] = lists["a"]': ("copy", 8000),
    'df["z"] = np.sqrt(c)': ("copy", 8000),
    'df["z"] = np.where(df["a"] > 5, 1, 0)': ("copy", 8000),
    'df["z"] = c * 2': ("copy", 8000),
    'df[["a", "b"]] = x[:, :2]': ("copy", 16000),
    'df[["a", "z"]] = x[:, :2] + 1': ("copy", 16000),
}


@pytest.mark.parametrize("text", STORED)
def test_an_array_that_becomes_a_column_is_a_copy(text: str, loud: Any) -> None:
    """The frame keeps elements of its own, also of what was just computed for it."""
    frame, array = pd.DataFrame({"a": np.ones(9)}), np.ones(9)
    frame["z"] = array
    assert not np.shares_memory(frame["z"].to_numpy(), array)
    assert [(outcome, totals.bytes_written) for _, outcome, totals in loud(text)] == [STORED[text]]


TENSORS = {
    "pd.Series(t)": ("view", 0),
    'pd.DataFrame({"t": t})': ("copy", 4000),
    "pd.DataFrame(t.reshape(100, 10))": ("copy", 4000),
}


@pytest.mark.parametrize("text", TENSORS)
def test_tensors_become_columns_at_one_border(text: str, loud: Any) -> None:
    """The ndarray that pandas has torch make on the way is not counted by itself."""
    start = "import torch; t = torch.arange(1000.0)\n"
    found = loud(start + text)
    assert [(outcome, totals.bytes_written) for _, outcome, totals in found] == [TENSORS[text]]


def test_a_frame_that_torch_is_given_is_charged_in_two_steps(loud: Any) -> None:
    """`.values` is a view or a copy of its own; torch copies what it got."""
    found = loud("import torch; torch.tensor(mixed.values, dtype=torch.float32)")
    assert sorted((text, outcome, totals.bytes_written) for text, outcome, totals in found) == [
        ("mixed.values", "copy", 16000),
        ("torch.tensor(mixed.values, dtype=torch.float32)", "copy", 8000),
    ]


DATASET = """
import torch
class Rows(torch.utils.data.Dataset):
    def __init__(self, frame): self.frame = frame
    def __len__(self): return 40
    def __getitem__(self, number): return torch.tensor(self.frame.iloc[number].values)
for batch in torch.utils.data.DataLoader(Rows(df), batch_size=10): batch.sum()
"""


def test_rows_of_a_frame_that_a_loader_reads_are_counted_by_line(loud: Any) -> None:
    """A data set that is defined in the text is seen row by row."""
    found = {text: totals for text, _, totals in loud(DATASET)}
    assert found["self.frame.iloc[number].values"].count == 40
    assert found["torch.tensor(self.frame.iloc[number].values)"].bytes_written == 40 * 32


def test_a_column_of_a_kind_that_is_not_known_is_passed_over(loud: Any) -> None:
    """Nothing is said of what can't be proven."""
    assert loud("pd.Series(pd.interval_range(0, 9)).to_numpy()") != []
    text = """
from pandas.api.extensions import ExtensionArray, ExtensionDtype
class Kind(ExtensionDtype):
    name, type, na_value = "kind", float, float("nan")
class Held(ExtensionArray):
    dtype = Kind()
    def __init__(self, held): self.held = held
    def __len__(self): return len(self.held)
    def __getitem__(self, index): return self.held[index]
    def copy(self): return self
    def isna(self): return np.isnan(self.held)
    def __array__(self, dtype=None, copy=None): return self.held
pd.Series(Held(c)).to_numpy()
"""
    assert loud(text) == []


def test_pandas_that_arrives_in_the_middle_is_seen() -> None:
    """A library may be imported by the text itself, and under any name."""
    text = """
import numpy as np
from pandas import DataFrame as Table
table = Table(np.arange(4000.0).reshape(1000, 4))
table.to_numpy(copy=True)
"""
    code = f"""
import tensortoll
found = tensortoll.run_source({text!r}).conversions
for one in found:
    print(one.route.origin.library, one.route.target.library, one.totals.bytes_written)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy pandas 32000" in done.stdout
    assert "pandas numpy 32000" in done.stdout


def test_names_of_earlier_texts_are_understood(loud: Any) -> None:
    """A class that was taken by name is the library's own."""
    namespace: dict[str, Any] = {}
    text = "import numpy as np\nfrom pandas import Series\nc = np.ones(999)"
    tensortoll.run_source(text, "1", namespace)
    [one] = tensortoll.run_source("Series(c)", "2", namespace).conversions
    assert (one.route.operation, one.totals.bytes_written) == ("pandas.Series", 7992)


@pytest.mark.parametrize(
    ("library", "takes"),
    [("tensorflow as tf", "tf.constant"), ("torch", "torch.tensor")],
    ids=["tensorflow", "torch"],
)
def test_a_table_that_is_refused_names_its_columns(library, takes):
    """
    Which column holds text, and a line with the name of the table that takes all columns in.
    """
    source = (
        f"import pandas as pd\nimport numpy as np\nimport {library}\n"
        "people = pd.DataFrame({'age': [31, 45], 'city': ['Bern', 'Rome']})\n"
        f"try:\n    {takes}(people)\nexcept ValueError:\n    pass\n"
    )
    namespace: dict[str, object] = {"__name__": "__main__"}

    (failure,) = tensortoll.run_source(source, namespace=namespace, memory=False).failures

    assert failure.cause == "mixed-types"
    assert "Column 'city' holds 'Bern', and column 'age' holds numbers" in failure.explanation
    assert failure.remedy.startswith(f"{takes}(people.assign(city=people['city']")
    assert tuple(eval(failure.remedy, namespace).shape) == (2, 2)


IN_PLACE = {
    'two.loc[:, "a"] = k': ("two['a']", ""),
    'two.loc[two.a > 10, "a"] = k[:989]': ("two['a']", ""),
    "two.iloc[:, 0] = k": ("two['a']", ""),
    "two.iloc[5:10, 0] = k[:5]": ("two['a']", ""),
    "two.iloc[[7, 5], 0] = k[:2]": ("two['a']", ""),
    "two.iloc[i % 2 == 0, -1] = k[:500]": ("two['b']", ""),
    'two.loc[:, "a"] = whole_numbers': ("two['a']", "cast"),
    'two.loc[:, "a"] = listed': ("two['a']", "parse"),
    'two.loc[2:4, "a"] = k[:3]': ("two['a']", ""),
    'two.loc[990:, "a"] = k[:10] * 2': ("two['a']", ""),
    'df.loc[:, ["b", "d"]] = -1 - x[:, :2]': ("df[['b', 'd']]", ""),
    'df.loc[10:19, ["b", "d"]] = -1 - x[:10, :2]': ("df[['b', 'd']]", ""),
    "s[:] = k": ("s", ""),
    "s[5:9] = k[:4]": ("s", ""),
    "s.iloc[5:10] = k[:5]": ("s", ""),
    "s.iloc[[7, 5]] = k[:2]": ("s", ""),
    "s.loc[:] = k": ("s", ""),
    "s.loc[2:4] = k[:3]": ("s", ""),
    "halves.loc[2:4] = k[:5]": ("halves", ""),
    'dated.loc["2020-01-03":"2020-01-05"] = k[:3]': ("dated", ""),
    "s.loc[s > 10] = k[:989]": ("s", ""),
    "s[s > 10] = k[:989]": ("s", ""),
}
OTHERS = """
k = -1.0 - c; whole_numbers = -1 - i; listed = [-1.0] * n
halves = pd.Series(c, c / 2); dated = pd.Series(c, pd.date_range("2020", periods=n))
"""
"""Stores that write into the memory a column has, with the column and the effects."""


@pytest.mark.parametrize("text", IN_PLACE)
def test_elements_that_are_written_into_a_column_are_a_copy(text: str) -> None:
    """Of as many as have changed: the column lies where it lay."""
    column, effects = IN_PLACE[text]
    names: dict[str, Any] = {}
    exec(START + OTHERS, names)
    where = eval(column, names).to_numpy()
    before = where.copy()
    exec(text, names)
    assert np.shares_memory(where, eval(column, names).to_numpy())
    changed = int(np.count_nonzero(where != before)) * 8

    recording = tensortoll.run_source(
        f"{START}{OTHERS}\n{text}", "case.py", memory=False, time=False
    )
    [one] = [one for one in recording.conversions if one.route.operation == "[]="][-1:]
    found = recording.conversions
    assert recording.faults == ()
    assert len([one for one in found if one.route.operation == "[]="]) == 2  # one is in START
    assert (one.route.outcome, " ".join(one.route.effects)) == ("copy", effects)
    assert (one.totals.copies, one.totals.bytes_written) == (1, changed)
    assert one.route.target.library == "pandas"


NAMED = {
    'df.insert(0, "z", c)': [("copy", 8000)],
    'df.assign(z=c, y=i.astype("i2"))': [("copy", 2000), ("copy", 2000), ("copy", 8000)],
    "df.assign(z=lists['a'])": [("copy", 8000)],
    "df.assign(z=s, y=3, x=lambda d: d.a * 2)": [],
    "[1].insert(0, c)": [],
    'df.loc[:, "new"] = c': [("copy", 8000)],
    'mixed.loc[2:4, "x"] = c[:3]': [],
    'two.loc[2:4, "a"] = [1.0, 2.0, 3.0]': [("copy", 24)],
}
"""What is said of stores by name; nothing is of some elements of a column that had to move."""


@pytest.mark.parametrize("text", NAMED)
def test_arrays_that_are_named_as_columns_are_copies(text: str, loud: Any) -> None:
    """Each array counts; what is the library's own, or can't be told, does not."""
    found = loud(text)
    assert sorted((outcome, totals.bytes_written) for _, outcome, totals in found) == NAMED[text]


@pytest.mark.parametrize(
    "text", ['df["z"] = t', 'df["z"] = torch.ones(1000)', "df.assign(z=t)", "df.insert(0, 'z', t)"]
)
def test_a_tensor_that_becomes_a_column_is_a_copy(text: str, loud: Any) -> None:
    """The ndarray that pandas reads it by on the way is no view that is left."""
    found = loud(f"import torch; t = torch.arange(1000.0)\n{text}")
    assert [(outcome, totals.bytes_written) for _, outcome, totals in found] == [("copy", 4000)]
