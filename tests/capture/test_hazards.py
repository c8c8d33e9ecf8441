"""Memory that a conversion shares and that is written is told; nothing else is."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from tensortoll.capture.hazards import sides, writes
from tensortoll.capture.observers import Observing
from tensortoll.capture.running import run
from tensortoll.model import Hazard

HEAD = "import numpy as np, torch\n"

WRITTEN = """
# item
a=np.zeros(50)
t=torch.from_numpy(a)
a[3]=1  # 3

# a part that was cut out at once
a=np.zeros((30,10))
t=torch.from_numpy(a)[:5]
a[20]=1
a[2]=1  # 3
t[0]=2  # 3
b=torch.zeros(30,10)
u=b.numpy().reshape(300)[:9]
b[20]=1
b[0]=1  # 8

# new axes are no cut
class Batch: pass
a=np.zeros(50)
b=Batch()
b.x=torch.from_numpy(a)[None]
a[20]=1  # 5

# item, among other targets
a=np.zeros(50)
t=torch.from_numpy(a)
x,a[3]=2,1  # 3
y=len("what follows has written nothing")

# slice of view
a=np.zeros(50)
t=torch.from_numpy(a)
row=a[5:9]
row[:]=2  # 3

# aug view
a=np.zeros(50)
t=torch.from_numpy(a)
row=a[5:9]
row+=2  # 3

# fill
a=np.zeros(50)
t=torch.as_tensor(a)
a.fill(3)  # 3

# copyto
a=np.zeros(50)
t=torch.as_tensor(a)
np.copyto(a,np.ones(50))  # 3

# tensor add_
a=np.zeros(50)
t=torch.from_numpy(a)
t.add_(1)  # 3

# tensor item
a=np.zeros(50)
t=torch.from_numpy(a)
t[0]=1  # 3

# view of tensor
a=np.zeros(50)
t=torch.from_numpy(a).view(5,10)
t.mul_(2).add_(1)  # 3

# detach numpy
p=torch.nn.Linear(3,3)
w=p.weight.detach().numpy()
with torch.no_grad():
    p.weight.add_(1)  # 3

# optimizer
p=torch.nn.Linear(3,1)
opt=torch.optim.SGD(p.parameters(),lr=.1)
w=p.weight.detach().numpy()
p(torch.ones(2,3)).sum().backward()
opt.step()  # 4

# adam data
p=torch.nn.Linear(3,1)
opt=torch.optim.Adam(p.parameters(),lr=.1)
w=p.weight.data.numpy()
for i in range(3):
    opt.zero_grad()
    p(torch.ones(2,3)).sum().backward()
    opt.step()  # 4

# np write to tensor
t=torch.zeros(9)
r=t.numpy()
r[2]=5  # 3

# asarray
t=torch.zeros(9)
r=np.asarray(t)
t.fill_(5)  # 3

# in function
def f(x):
    x[0]=9  # 5
a=np.zeros(9)
t=torch.from_numpy(a)
f(a)

# lambda
a=np.zeros(9)
t=torch.from_numpy(a)
g=lambda: a.fill(7)  # 3
g()

# return
def f(x):
    return x.fill(3)  # 5
a=np.zeros(9)
t=torch.from_numpy(a)
f(a)

# loop
a=np.zeros(9)
t=torch.from_numpy(a)
for i in range(1,4):
    a[i]=i  # 3

# buffer reuse
buf=np.zeros(9)
kept=[]
for i in range(3):
    buf[:]=i  # 6
    kept.append(torch.from_numpy(buf))

# bytearray
ba=bytearray(16)
r=np.frombuffer(ba,np.uint8)
ba[0]=1  # 3

# bytearray2
ba=bytearray(16)
r=np.frombuffer(ba,np.uint8)
r[0]=1  # 3

# from_dlpack
a=np.zeros(9)
t=torch.from_dlpack(a)
a[0]=1  # 3

# tensor of a bytearray
ba=bytearray(800)
t=torch.frombuffer(ba,dtype=torch.float32)
ba[5]=9  # 3

# tensor of a bytearray, through the tensor
ba=bytearray(800)
t=torch.asarray(ba)
t.add_(1)  # 3

# tensor of a view of a bytearray
ba=bytearray(800)
t=torch.frombuffer(memoryview(ba),dtype=torch.float32)
ba[7]=1  # 3

# array.array
import array
ba=array.array("d",range(100))
r=np.frombuffer(ba)
ba[5]=9  # 4

# tensor of an array.array
import array
ba=array.array("d",range(100))
t=torch.frombuffer(ba,dtype=torch.float64)
t[5]=9  # 4

# memoryview
m=memoryview(bytearray(80))
r=np.asarray(m)
m[3]=1  # 3

# np.from_dlpack
t=torch.zeros(50)
r=np.from_dlpack(t)
t[3]=1  # 3

# np.from_dlpack of a slice
t=torch.zeros(50)
r=np.from_dlpack(t[2:])
r[3]=1  # 3

# np.from_dlpack, another view is left
t=torch.zeros(50)
u=t[10:20]
r=np.from_dlpack(t)
del t
r[12]=1  # 4

# transposed in place before
a=np.zeros((5,6,7))
t=torch.from_numpy(a)
t.transpose_(0,1)
a[3]=1  # 3

# try
a=np.zeros(9)
t=torch.from_numpy(a)
try:
    a[0]=1; raise ValueError  # 3
except ValueError:
    x=1

# raise after
def f(x):
    x.fill(2); raise KeyError  # 5
a=np.zeros(9)
t=torch.from_numpy(a)
try:
    f(a)
except KeyError:
    y=2

# shuffle
a=np.arange(90)
t=torch.from_numpy(a)
np.random.default_rng(0).shuffle(a)  # 3

# big
a=np.zeros(3_000_000)
t=torch.from_numpy(a)
a[1_500_000]=1  # 3

# big swap
a=np.arange(3_000_000)
t=torch.from_numpy(a)
np.random.default_rng(0).shuffle(a)  # 3

# noncontig
a=np.zeros((50,40))
t=torch.from_numpy(a.T)
a[3,2]=1  # 3

# subtracted in place
w=torch.ones(40)
s=w.numpy()
w-=1  # 3

# out=
w=torch.ones(40)
s=w.numpy()
torch.mul(w,2,out=w)  # 3

# generator
def gen(x):
    for i in range(2):
        x[i]=5  # 7
        yield i
a=np.zeros(9)
t=torch.from_numpy(a)
for i in gen(a):
    y=float(t[0])

# class attr
class D:
    def __init__(self):
        self.x=np.zeros(9)
        self.t=torch.from_numpy(self.x)
    def go(self):
        self.x[1]=1  # 5
d=D()
d.go()

# detached kept
a=np.zeros(9)
u=torch.from_numpy(a)[2:]
a[4]=2  # 3
"""
"""Programs with a hazard: a line that writes names the line, from 2 on, that made the alias."""

HARMLESS = """
# copy
a=np.zeros(50)
t=torch.tensor(a)
a[0]=1

# before
a=np.zeros(50)
a[0]=1
t=torch.from_numpy(a)

# rebind
a=np.zeros(50)
t=torch.from_numpy(a)
a=a+1
a[0]=2

# dead temp
a=np.zeros(50)
s=torch.from_numpy(a).sum()
a[0]=2

# dead del
a=np.zeros(50)
t=torch.from_numpy(a)
del t
a[0]=2

# origin gone
def mk():
    a=np.zeros(50)
    return torch.from_numpy(a)
t=mk()
t.add_(1)

# origin temp
t=torch.from_numpy(np.zeros(50))
t.add_(1)

# origin rebound
a=np.zeros(50)
t=torch.from_numpy(a)
a=None
t.add_(1)

# slice temp origin
t=torch.from_numpy(np.zeros(50)[5:])
t.add_(1)

# tensor gone
r=torch.zeros(9).numpy()
r[0]=1

# tensor slice gone
r=torch.zeros(9)[2:].numpy()
r[0]=1

# tensor rebind
t=torch.zeros(9)
r=t.numpy()
t=t+1
r[0]=1

# interleaved
a=np.zeros(50)
t=torch.from_numpy(a[::2])
a[1::2]=3

# disjoint
a=np.zeros(50)
t=torch.from_numpy(a[:20])
a[30:]=3

# disjoint tensor
t=torch.zeros(50)
r=t[:20].numpy()
t[30:].add_(3)

# same value
a=np.zeros(50)
t=torch.from_numpy(a)
a[0]=0

# reads
a=np.zeros(50)
t=torch.from_numpy(a)
print(a.sum(), t.mean(), a[3], t[2])
b=a*2
c=t+1
c.add_(2)
b+=1

# unsqueeze_
a=np.zeros(50)
t=torch.from_numpy(a)
t.unsqueeze_(0)

# clone
a=np.zeros(50)
t=torch.from_numpy(a).clone()
a[0]=1
t[0]=4

# numpy copy
t=torch.zeros(9)
r=t.numpy().copy()
t.add_(1)

# float copies
a=np.zeros(50)
t=torch.from_numpy(a).float()
a[0]=1

# training
x=np.random.rand(64,3).astype(np.float32)
X=torch.from_numpy(x)
m=torch.nn.Linear(3,1)
o=torch.optim.SGD(m.parameters(),lr=.1)
for i in range(5):
    o.zero_grad()
    loss=m(X).pow(2).mean()
    loss.backward()
    o.step()

# collate
from torch.utils.data import DataLoader, TensorDataset
x=np.random.rand(64,3).astype(np.float32)
d=DataLoader(TensorDataset(torch.from_numpy(x)),batch_size=8)
for (b,) in d:
    b.mul_(2)

# list of arrays
rows=[np.zeros(9) for _ in range(3)]
b=torch.stack([torch.from_numpy(r) for r in rows])
rows[0][0]=1
b[0]=4

# param copy
p=torch.nn.Linear(3,1)
o=torch.optim.SGD(p.parameters(),lr=.1)
w=p.weight.detach().clone().numpy()
p(torch.ones(2,3)).sum().backward()
o.step()

# history
p=torch.nn.Linear(3,1)
o=torch.optim.SGD(p.parameters(),lr=.1)
h=[]
for i in range(3):
    o.zero_grad()
    l=p(torch.ones(2,3)).sum()
    l.backward()
    o.step()
    h.append(l.item())
    n=p.weight.detach().numpy().sum()

# bytes
b=bytes(16)
r=np.frombuffer(b,np.uint8).copy()
r[0]=1

# buffer gone
ba=bytearray(80)
t=torch.frombuffer(ba,dtype=torch.uint8)
del ba
t[0]=1

# buffer nobody had
t=torch.frombuffer(bytearray(80),dtype=torch.uint8)
t[0]=1

# view of a buffer gone
m=memoryview(bytearray(80))
t=torch.frombuffer(m,dtype=torch.uint8)
del m
t[0]=1

# array.array gone
import array
t=torch.asarray(array.array("d",range(100)))
t[0]=1

# other memory under the tensor
ba=bytearray(80)
t=torch.frombuffer(ba,dtype=torch.uint8)
t.data=torch.zeros(80,dtype=torch.uint8)
t[0]=1
ba[1]=1
del ba
t[2]=2

# grown
ba=bytearray(80)
t=torch.frombuffer(ba,dtype=torch.uint8).clone()
ba+=bytes(8000)
ba[0]=1

# np.from_dlpack of a temporary
r=np.from_dlpack(torch.zeros(50))
r[3]=1

# np.from_dlpack, gone
t=torch.zeros(50)
r=np.from_dlpack(t)
del t
r[3]=1

# only the order changed
a=np.arange(24.).reshape(2,3,4)
t=torch.from_numpy(a)
t.transpose_(0,1)
a.shape=(24,)
t.unsqueeze_(0)

# moved to other memory
t=torch.arange(50.)
r=t.numpy().copy()
t.share_memory_()
t[0]=5

# set to other memory
a=np.zeros(50)
t=torch.from_numpy(a)
t.set_(torch.ones(50,dtype=torch.float64))
t[0]=5
a[0]=1

# other array
a=np.zeros(50)
t=torch.from_numpy(a)
b=np.zeros(50)
b[0]=1
b.sort()

# grad buf
x=np.zeros((4,3),np.float32)
X=torch.from_numpy(x)
y=X.clone().requires_grad_()
(y*2).sum().backward()
y.grad.zero_()

# mask copy
a=np.arange(50)
t=torch.from_numpy(a[a>3])
a[5]=1
"""
"""Programs without: copies, ends that died, elements apart, values that stayed."""

OTHER_LIBRARIES = """
# an aligned array in TensorFlow
import tensorflow as tf
first=tf.constant(0.5)*4.0
p=np.zeros(2016,np.float32)
s=p[(-p.ctypes.data % 64)//4:][:2000]
b=tf.expand_dims(s,0)
s[5]=6.0  # 6

# a copy in TensorFlow
import tensorflow as tf
s=np.zeros(2000,np.float32)
b=tf.constant(s)
s[5]=6.0

# an aligned array in JAX
import jax
p=np.zeros(2016,np.float32)
s=p[(-p.ctypes.data % 64)//4:][:2000]
b=jax.device_put(s)
s[5]=6.0  # 5

# a copy in JAX
import jax.numpy as jnp
s=np.zeros(2000,np.float32)
b=jnp.array(s)
s[5]=6.0

# a copy in pandas
import pandas as pd
s=np.zeros(2000)
b=pd.Series(s)
s[5]=6.0

# an array below a column
import pandas as pd
s=np.zeros(2000)
b=pd.Series(s,copy=False)
s[5]=6.0  # 4

# an array that was handed out of a column, and does not hold it
import pandas as pd
c=pd.Series([0.5]*2000)
w=c.values
c.iloc[3]=1.0  # 4
v=c.to_numpy()
w=w+1
c.iloc[4]=1.0  # 6

# JAX's memory under a tensor
import jax.numpy as jnp
j=jnp.zeros(50)
t=torch.from_dlpack(j)
t[0]=1  # 4

# JAX's memory under a tensor, by its buffer
import jax.numpy as jnp
j=jnp.zeros(50)
t=torch.asarray(j)
t[0]=1  # 4

# JAX's memory that nobody had
import jax.numpy as jnp
t=torch.from_dlpack(jnp.zeros(50))
t[0]=1
u=torch.asarray(jnp.zeros(50))
u[0]=1

# an array below an image
from PIL import Image
s=np.zeros((50,60),np.uint8)
b=Image.fromarray(s)
s[3,3]=1  # 4

# an array below an image with colours
from PIL import Image
s=np.zeros((50,60,4),np.uint8)
b=Image.fromarray(s)
s[3,3]=1  # 4

# a buffer below an image
from PIL import Image
s=bytearray(3000)
b=Image.frombuffer("L",(60,50),s,"raw","L",0,1)
s[4]=4  # 4

# an image that takes memory of its own to be written
from PIL import Image
s=np.zeros((50,60),np.uint8)
b=Image.fromarray(s)
b.putpixel((3,3),1)
s[3,3]=5

# an image that was copied
from PIL import Image
s=np.zeros((50,60,3),np.uint8)
b=Image.fromarray(s)
s[3]=5
c=np.asarray(b)
b.putpixel((3,3),(1,2,3))

# an image whose array is gone
from PIL import Image
s=np.zeros((50,60),np.uint8)
b=Image.fromarray(s)
del s
b.putpixel((3,3),1)

# an array below a column, gone
import pandas as pd
s=np.zeros(2000)
b=pd.Series(s,copy=False)
del s
b.iloc[0]=6

# arrays out of a column that nobody kept
import pandas as pd
c=pd.Series([0.5]*2000)
w=torch.tensor(c.values)
v=c.to_numpy()
v=v+1
c.iloc[3]=1.0

# an array that lies in another library's shell, which hands it out as it is
import xarray as xr
d=xr.DataArray(np.zeros(2000))
w=torch.tensor(d.values)
v=d.values
v=v+1
d[5]=6.0

# a column that was given other memory
import pandas as pd
s=pd.DataFrame({"a":np.zeros(50)})
b=s["a"].to_numpy()
s["a"]=np.ones(50)
s.loc[:,"a"]=np.full(50,7.0)

# an array below Arrow
import pyarrow as pa
s=np.zeros(2000)
b=pa.array(s)
s[5]=6.0  # 4
"""


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a busy machine miss nothing."""
    monkeypatch.setattr(writes, "GRACE_NS", 60_000_000_000)


def programs(table: str) -> list[Any]:
    found = []
    for one in table.strip().split("\n\n"):
        name, _, text = one.partition("\n")
        found.append(pytest.param(text, id=name.removeprefix("# ")))
    return found


def hazards(text: str) -> tuple[Hazard, ...]:
    outcome = run(f"{HEAD}{text}\n", "<cell>", {"__name__": "__main__"})
    assert outcome.error is None
    assert outcome.recording.faults == ()
    return outcome.recording.hazards


def stated(text: str) -> set[tuple[int, int]]:
    """Return the lines that write, each with the line that shared."""
    marks = ((n, re.search(r"  # (\d+)$", line)) for n, line in enumerate(text.split("\n"), 2))
    return {(number, int(mark[1])) for number, mark in marks if mark}


@pytest.mark.parametrize("text", programs(WRITTEN))
def test_a_write_to_shared_memory_is_told_at_the_innermost_line_of_the_users(text: str) -> None:
    """With the line that made the alias, whatever wrote, and through whichever side."""
    assert stated(text)
    assert stated(text) == {(one.write_line, one.alias_line) for one in hazards(text)}


@pytest.mark.parametrize("text", programs(HARMLESS))
def test_what_is_not_shared_or_not_written_is_not_told(text: str) -> None:
    """A false alarm costs more than a miss."""
    assert hazards(text) == ()


@pytest.mark.parametrize("text", programs(OTHER_LIBRARIES))
def test_memory_shared_with_other_libraries_is_looked_at_likewise(text: str) -> None:
    """Where the conversion shares it, and not where it copies."""
    assert stated(text) == {(one.write_line, one.alias_line) for one in hazards(text)}


def test_a_write_in_a_later_text_is_told_with_the_text_that_shared() -> None:
    """The arrays live on between cells; so does what is known of them."""
    names: dict[str, Any] = {"__name__": "__main__"}
    run("import numpy as np, torch\na = np.zeros(9)\nt = torch.from_numpy(a)\n", "cell [1]", names)
    found = run("x = 1\na[3] = 5\n", "cell [2]", names).recording.hazards
    assert [(2, 3, "a", "t")] == [
        (one.write_line, one.alias_line, one.written, one.aliased) for one in found
    ]
    assert "cell [1] line 3" in found[0].detail
    assert found[0].since == "cell [1] line 3"


def test_nothing_is_held_alive() -> None:
    """Neither by what is known of an alias, nor by what a call was given."""
    import weakref

    names: dict[str, Any] = {"__name__": "__main__"}
    run("import numpy as np, torch\na = np.zeros(9)\nt = torch.from_numpy(a)\n", "<cell>", names)
    array, tensor = weakref.ref(names["a"]), weakref.ref(names["t"])
    names.clear()
    assert (array(), tensor()) == (None, None)


def test_looking_takes_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it, lines go unseen, which is said; none is blamed for another's write."""
    monkeypatch.setattr(writes, "GRACE_NS", 0)
    monkeypatch.setattr(writes, "SHARE", 0.0)
    text = "a = np.zeros(9)\nt = torch.from_numpy(a)\nfor i in range(5):\n    a[1] = i\nb = a.sum()"
    outcome = run(f"{HEAD}{text}\n", "<cell>", {"__name__": "__main__"})
    assert outcome.recording.hazards == ()
    assert writes.BLIND_SPOT in outcome.recording.blind_spots


LOOPING = """\
import time
x = np.ones(100_000)
t = torch.from_numpy(x)
total = 0.0
for value in range(30_000):
    total += value
time.sleep(1)
last = total
x[0] = 5
"""


def test_a_loop_beside_shared_memory_is_not_slowed_once_the_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Looks are no more asked for, and are asked for again when there is time for them."""
    monkeypatch.setattr(writes, "GRACE_NS", 2_000_000)
    looks = []
    look = writes.Writes.look
    monkeypatch.setattr(
        writes.Writes, "look", lambda self, *args: (looks.append(1), look(self, *args))[1]
    )

    outcome = run(HEAD + LOOPING, "<looping>", {}, observing=Observing(memory=False))

    assert writes.BLIND_SPOT in outcome.recording.blind_spots
    assert len(looks) < 3_000
    assert [10] == [one.write_line for one in outcome.recording.hazards]


def test_what_is_converted_in_a_pause_is_looked_at_when_it_ends_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Thousands of conversions whose results are dropped cost no look each."""
    monkeypatch.setattr(writes, "GRACE_NS", 0)
    monkeypatch.setattr(writes, "SHARE", 0.0)
    looks = []
    look = writes.Writes.look
    monkeypatch.setattr(
        writes.Writes, "look", lambda self, *args: (looks.append(1), look(self, *args))[1]
    )
    text = "x = np.ones(500)\nfor i in range(500):\n    t = torch.tensor(x[i:])\nu = 1\n"

    outcome = run(HEAD + text, "<pause>", {})

    assert len(looks) < 10
    assert outcome.recording.blind_spots == ()  # nothing was shared
    assert outcome.recording.faults == ()


def test_of_the_largest_memory_only_samples_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that a sample shows is told; that others may be missed is said."""
    from tensortoll.capture.hazards import aliases, contents

    for module in (aliases, contents):
        monkeypatch.setattr(module, "LARGEST", 16 << 20)
    text = (
        "a = np.zeros(24 << 20, np.uint8)\nt = torch.from_numpy(a)\na[:] = 1\nb = a.sum()\n"
        "c = np.zeros((6000, 6000))[:, ::2]\nu = torch.from_numpy(c)\nc[0] = 1"
    )
    recording = run(f"{HEAD}{text}\n", "<cell>", {"__name__": "__main__"}).recording
    assert [(4, 3)] == [(one.write_line, one.alias_line) for one in recording.hazards]
    assert aliases.SAMPLED in recording.blind_spots
    assert recording.faults == ()


MAPPED = {
    "a file": "a = np.memmap(tempfile.mktemp(), np.float32, 'w+', shape=(1000,))\n"
    "t = torch.from_numpy(a)\na[3] = 1",
    "another process": "a = torch.zeros(1000).share_memory_()\nt = a.numpy()\na[3] = 1",
}


@pytest.mark.parametrize("text", MAPPED.values(), ids=MAPPED)
def test_memory_that_others_may_write_is_not_looked_at(text: str) -> None:
    """No line may be blamed for what another process wrote; that this is out of sight is said."""
    from tensortoll.capture.hazards import aliases

    outcome = run(f"{HEAD}import tempfile\n{text}\n", "<cell>", {"__name__": "__main__"})
    assert outcome.error is None
    assert outcome.recording.hazards == ()
    assert aliases.MAPPED in outcome.recording.blind_spots


def test_a_name_is_known_where_a_line_has_several_statements() -> None:
    """What an array is called does not depend on what else stands on the line."""
    [one] = hazards("x = np.arange(9); t = torch.from_numpy(x); t[0] = 5")
    assert (one.written, one.aliased) == ("t", "x")


def test_what_is_written_is_called_by_its_name() -> None:
    """Of `frombuffer` the data, and not what stands before them."""
    text = (
        "from PIL import Image\nraw = bytearray(3000)\n"
        'picture = Image.frombuffer("L", (60, 50), raw, "raw", "L", 0, 1)\nraw[4] = 4'
    )
    [one] = hazards(text)
    assert (one.written, one.aliased) == ("raw", "picture")


@pytest.mark.parametrize(
    ("write", "written"),
    [
        ("np.put(a, [1], [7])", "a"),
        ("a.put([1], [7])", "a"),
        ("torch.relu_(t)", "t"),
        ("t.relu_()", "t"),
        ("torch.nn.init.ones_(t)", "t"),
        ("fill_with_ones(t)", "t"),
    ],
)
def test_what_is_written_is_an_array_and_never_the_module_whose_function_wrote(
    write: str, written: str
) -> None:
    """A function writes to its first argument, a method to what it is called on."""
    text = (
        "from torch.nn.init import ones_ as fill_with_ones\n"
        f"a = np.full(50, -1.0)\nt = torch.from_numpy(a)\n{write}"
    )
    [one] = hazards(text)
    assert one.written == written


def test_the_users_values_are_what_they_were() -> None:
    """Looking reads, and writes nothing."""
    names: dict[str, Any] = {"__name__": "__main__"}
    run(
        f"{HEAD}a = np.arange(9.0)\nt = torch.from_numpy(a)\na[0] = 3\nt.add_(1)\n", "<cell>", names
    )
    assert names["a"].tolist() == [4.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]
    assert torch.equal(names["t"], torch.from_numpy(np.asarray(names["a"])))


def test_a_buffer_is_not_looked_at_any_more_once_no_tensor_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is found by its address, where something else may be by then."""
    buffer = bytearray(400)
    tensor = torch.frombuffer(buffer, dtype=torch.float32)
    side = sides.AddressSide(id(buffer), 1, tensor.untyped_storage())
    assert side.is_alive()

    tensor.data = torch.zeros(5)
    monkeypatch.setattr(side, "_owner", lambda: pytest.fail("the address was followed"))
    del buffer

    assert not side.is_alive()
    assert side.where(lambda _: None) is None
