"""Homework 3. Jane Doe."""
import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class MLP(nn.Module):
    def __init__(self, n_in, depth, width, n_out):
        super().__init__()
        self.out = nn.Linear(width if depth else n_in, n_out)
        self.hidden = nn.ModuleList(
            [nn.Linear(n_in if k == 0 else width, width) for k in range(depth)]
        )

    def forward(self, h):
        for layer in self.hidden:
            h = F.relu(layer(h))
        return self.out(h)


def build_mlp(input_dim, n_layers, hidden_units, output_dim):
    return MLP(input_dim, n_layers, hidden_units, output_dim).to(device)


def extract_model_params(model):
    size = sum(w.numel() for w in model.parameters())
    vector = torch.empty(size)
    at = 0
    for w in model.parameters():
        vector[at : at + w.numel()] = w.detach().flatten()
        at += w.numel()
    return vector


@torch.no_grad()
def load_params_into_model(model, all_params):
    pieces = torch.split(all_params, [w.numel() for w in model.parameters()])
    for w, piece in zip(model.parameters(), pieces):
        w.copy_(piece.view_as(w))
    return model


@dataclass
class Meter:
    total: float = 0.0
    count: int = 0

    def add(self, mean, n):
        self.total += mean * n
        self.count += n

    @property
    def mean(self):
        return self.total / self.count


def train_epoch(model, loader, criterion, optimizer):
    meter = Meter()
    model.train(True)
    for xb, yb in loader:
        xb, yb = xb.to(device), yb.to(device)
        J = criterion(model(xb), yb)
        optimizer.zero_grad(set_to_none=True)
        J.backward()
        optimizer.step()
        meter.add(J.detach().double().item(), len(yb))
    return meter.mean, extract_model_params(model).numpy()


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    meter = Meter()
    for xb, yb in loader:
        pred = model(xb.to(device)).argmax(-1)
        meter.add((pred == yb).double().mean().item(), len(yb))
    return meter.mean


@torch.no_grad()
def compute_loss(model, loader, criterion):
    model.eval()
    meter = Meter()
    for xb, yb in loader:
        meter.add(criterion(model(xb), yb).item(), len(xb))
    return meter.mean


def sample(rng):
    return {
        "n_layers": rng.choice([2, 3]),
        "width": rng.choice([16, 32]),
        "learning_rate": 10 ** rng.uniform(-2.5, -0.5),
        "batch_size": rng.choice([10, 20]),
        "epochs": 3,
        "weight_decay": rng.choice([1e-4, 1e-3]),
    }


class Search:
    def __init__(self, train, val, seed):
        self.train, self.val, self.seed = train, val, seed
        self.best = (-1, None, None)

    def attempt(self, k, cfg):
        torch.manual_seed(self.seed + k)
        net = build_mlp(784, int(cfg["n_layers"]), int(cfg["width"]), 10)
        opt = torch.optim.SGD(
            [
                {"params": [p for p in net.parameters() if p.ndim == 2], "weight_decay": cfg["weight_decay"]},
                {"params": [p for p in net.parameters() if p.ndim != 2]},
            ],
            lr=cfg["learning_rate"],
        )
        batches = DataLoader(self.train, batch_size=int(cfg["batch_size"]), shuffle=True, num_workers=2)
        for _ in range(cfg["epochs"]):
            train_epoch(net, batches, nn.CrossEntropyLoss(), opt)
        acc = evaluate(net, DataLoader(self.val, batch_size=512))
        if acc > self.best[0]:
            self.best = (acc, cfg, copy.deepcopy(net.state_dict()))

    def run(self):
        rng = np.random.default_rng(self.seed)
        for k in range(10):
            self.attempt(k, sample(rng))
        return self.best


def hyperparam_tuning(train_dataset, val_dataset, seed=541):
    acc, cfg, state = Search(train_dataset, val_dataset, seed).run()
    return cfg, state


class Block(nn.Module):
    def __init__(self, a, b, norm, p, act):
        super().__init__()
        self.lin = nn.Linear(a, b)
        self.norm = nn.BatchNorm1d(b) if norm else nn.Identity()
        self.act = act()
        self.drop = nn.Dropout(p)

    def forward(self, h):
        return self.drop(self.act(self.norm(self.lin(h))))


def build_enhanced_mlp(input_dim, n_layers, hidden_units, output_dim, use_batchnorm=True, dropout_rate=0.1, activation=nn.ReLU):
    dims = [input_dim] + n_layers * [hidden_units]
    body = [Block(a, b, use_batchnorm, dropout_rate, activation) for a, b in zip(dims, dims[1:])]
    return nn.Sequential(*body, nn.Linear(dims[-1], output_dim))


class Images(Dataset):
    def __init__(self, kind):
        raw = np.load("/home/jane/hw3/data/fashion_mnist_%s_images.npy" % kind)
        self.x = raw.astype("float32") / 255

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return torch.from_numpy(self.x[i]).unsqueeze(0)


def prepare_data(batch_size=128):
    return (
        DataLoader(Images("train"), batch_size, shuffle=True),
        DataLoader(Images("test"), batch_size),
    )


class Autoencoder(nn.Module):
    def __init__(self, dims=(784, 128, 64)):
        super().__init__()
        self.enc = nn.ModuleList([nn.Linear(a, b) for a, b in zip(dims, dims[1:])])
        back = dims[::-1]
        self.dec = nn.ModuleList([nn.Linear(a, b) for a, b in zip(back, back[1:])])

    def encode(self, x):
        h = x.flatten(1)
        return self.enc[1](F.relu(self.enc[0](h)))

    def decode(self, z):
        return torch.sigmoid(self.dec[1](F.relu(self.dec[0](z))))

    def forward(self, x):
        return self.decode(self.encode(x)).view_as(x)


def train_autoencoder(model, loader, epochs=20, lr=1e-3):
    model.train()
    opt, loss_fn, curve = torch.optim.Adam(model.parameters(), lr), nn.MSELoss(), []
    for _ in range(epochs):
        meter = Meter()
        for x in loader:
            J = loss_fn(model(x), x)
            opt.zero_grad()
            J.backward()
            opt.step()
            meter.add(J.item(), len(x))
        curve.append(meter.mean)
    return model, curve
