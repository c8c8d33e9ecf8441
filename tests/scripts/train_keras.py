"""Fit a small Keras model to the columns of a table, as float64 comes out of pandas."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

ROWS, FEATURES = 2_000, 8

keras.utils.set_random_seed(0)
generator = np.random.default_rng(0)
table = pd.DataFrame(
    generator.normal(size=(ROWS, FEATURES)), columns=[f"x{i}" for i in range(FEATURES)]
)
table["y"] = table.sum(axis=1) + generator.normal(scale=0.1, size=ROWS)

features = table.drop(columns="y").to_numpy()
target = table["y"].to_numpy()
train, test = slice(0, 1_600), slice(1_600, None)

model = keras.Sequential(
    [keras.Input((FEATURES,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)]
)
model.compile(optimizer="adam", loss="mse")
history = model.fit(
    features[train], target[train], epochs=2, batch_size=100, verbose=0, shuffle=False
)
loss = model.evaluate(features[test], target[test], batch_size=100, verbose=0)
small = features[test].astype("float32")
predicted = model.predict(small, batch_size=100, verbose=0)
known = tf.constant(small)
direct = model(known).numpy()

print([round(value, 5) for value in history.history["loss"]], round(loss, 5))
print(bool(np.allclose(predicted, direct, atol=1e-5)), predicted.dtype)
