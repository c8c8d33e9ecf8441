"""Train a small network on rows of float64, in mini-batches that two workers load."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

ROWS, FEATURES, BATCH, EPOCHS, WORKERS = 512, 128, 64, 2, 2


class Rows(Dataset):
    def __init__(self, samples, labels):
        self.samples = samples
        self.labels = labels

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        sample = torch.tensor(self.samples[index], dtype=torch.float32)
        return sample, self.labels[index]


def accuracy(model, samples, labels):
    model.eval()
    with torch.no_grad():
        scores = model(torch.from_numpy(samples).float())
    predicted = scores.numpy().argmax(axis=1)
    return float((predicted == labels).mean())


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    samples = generator.normal(size=(ROWS, FEATURES))
    labels = (samples[:, :4].sum(axis=1) > 0).astype(np.int64)
    model = nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    loader = DataLoader(
        Rows(samples, labels),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        multiprocessing_context="fork",
        generator=torch.Generator().manual_seed(1),
    )
    losses = []
    for _ in range(EPOCHS):
        model.train()
        for batch, target in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(batch), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    best = {name: one.clone() for name, one in model.state_dict().items()}
    copy = nn.Sequential(nn.Linear(FEATURES, 32), nn.ReLU(), nn.Linear(32, 2)).double()
    copy.load_state_dict(best)
    weights = model[0].weight.detach().numpy()
    print([round(loss, 6) for loss in losses])
    print(accuracy(model, samples, labels), weights.shape, copy[0].weight.dtype)


if __name__ == "__main__":
    main()
