"""Several changes of three students' code at once: mistakes, and what keeps it right."""

LOOPS, CLASSES, TERSE = "loops.py", "classes.py", "terse.py"

# The names of the mistakes, the solution, and its texts with what stands there instead.
SEVERAL = [
    (
        {"no zero_grad", "mean over minibatches"},
        LOOPS,
        [
            ("        optimizer.zero_grad()\n        scores", "        scores"),
            ("batch_loss.item() * x.size(0)", "batch_loss.item()"),
            ("    return loss_sum / seen, flat", "    return loss_sum / (step + 1), flat"),
        ],
    ),
    (
        {"evaluated in training mode", "evaluated with gradients"},
        LOOPS,
        [
            ("    model.eval()\n    hits", "    hits"),
            (
                "    with torch.no_grad():\n        for x, y in loader:\n            scores = model(x)\n            _",
                "    if True:\n        for x, y in loader:\n            scores = model(x)\n            _",
            ),
        ],
    ),
    (
        {"weight decay on biases", "no shuffling"},
        TERSE,
        [
            ("dict(params=b, weight_decay=0)", "dict(params=b, weight_decay=wd)"),
            ("data = DataLoader(D, bs, True)", "data = DataLoader(D, bs)"),
        ],
    ),
    (
        {"no shuffling", "one seed for all attempts", "the last in place of the best"},
        LOOPS,
        [
            ("batch_size=batch, shuffle=True", "batch_size=batch"),
            ("        torch.manual_seed(seed + trial)\n", ""),
            ("        if score > winner_score:", "        if score is not None:"),
        ],
    ),
    (
        {"percent in place of share", "trained on validation rows", "no shuffling"},
        TERSE,
        [
            ("ok).float().mean().item()", "ok).float().mean().item() * 100"),
            ("data = DataLoader(D, bs, True)", "data = DataLoader(D + V, bs)"),
        ],
    ),
    (
        {"no ReLU in the encoder", "no sigmoid at the end"},
        LOOPS,
        [
            ("x = torch.relu(self.fc1(x))", "x = self.fc1(x)"),
            ("return torch.sigmoid(self.fc4(z))", "return self.fc4(z)"),
        ],
    ),
    (
        {"percent in place of share", "labels off by one"},
        LOOPS,
        [
            ("    return hits / seen", "    return 100 * hits / seen"),
            ("if a == b:", "if a + 1 == b:"),
        ],
    ),
    (
        {"SGD in place of Adam", "squared error summed"},
        LOOPS,
        [
            ("torch.optim.Adam", "torch.optim.SGD"),
            ("mse_loss(copy, x)", "mse_loss(copy, x, reduction='sum')"),
        ],
    ),
]

# The solution, and its texts with what stands there instead.
CORRECT = [
    (LOOPS, []),
    (CLASSES, []),
    (TERSE, []),
    (LOOPS, [("weight.data.view(-1)", "weight.clone().detach().reshape(-1)")]),
    (
        LOOPS,
        [
            (
                "        weight.data = chunk.view(weight.size()).clone()",
                "        with torch.no_grad():\n            weight[...] = chunk.reshape(weight.shape)",
            )
        ],
    ),
    (
        LOOPS,
        [
            (
                "loss_sum = loss_sum + batch_loss.item() * x.size(0)",
                "loss_sum = loss_sum + np.float64(batch_loss.detach().numpy()) * x.size(0)",
            )
        ],
    ),
    (
        LOOPS,
        [
            (
                "        scores = model(x)\n        batch_loss",
                "        scores = model(x.reshape(x.shape[0], -1))\n        batch_loss",
            )
        ],
    ),
    (
        LOOPS,
        [
            (
                "    return loss_sum / seen, flat",
                "    del step\n    return float(np.float32(loss_sum / seen)), flat",
            )
        ],
    ),
    (
        LOOPS,
        [
            (
                "def evaluate(model, loader):\n    model.eval()",
                "def evaluate(model, loader, *, verbose=False):\n    model.train(mode=False)",
            )
        ],
    ),
    (
        LOOPS,
        [
            (
                "            value = criterion(scores, y)\n            loss_sum += float(value) * x.shape[0]",
                "            value = nn.CrossEntropyLoss(reduction='none')(scores, y)\n            loss_sum += value.double().sum().item()",
            )
        ],
    ),
    (CLASSES, [("@torch.no_grad()\ndef evaluate", "@torch.inference_mode()\ndef evaluate")]),
    (CLASSES, [("h = F.relu(layer(h))", "h = layer(h).clamp(min=0)")]),
    (
        CLASSES,
        [
            (
                "    def forward(self, h):\n        for layer",
                "        for layer in self.hidden:\n            nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')\n\n    def forward(self, h):\n        for layer",
            )
        ],
    ),
    (CLASSES, [("return cfg, state", "return cfg, acc, state")]),
    (
        CLASSES,
        [
            (
                "return self.enc[1](F.relu(self.enc[0](h)))",
                "return F.relu(self.enc[1](F.relu(self.enc[0](h))))",
            )
        ],
    ),
    (
        CLASSES,
        [("meter.add(J.detach().double().item(), len(yb))", "meter.add(float(J), yb.shape[0])")],
    ),
    (
        TERSE,
        [
            (
                "return torch.cat(ok).float().mean().item()",
                "return sum(int(o.sum()) for o in ok) / sum(len(o) for o in ok)",
            )
        ],
    ),
    (TERSE, [("return cfg, 100 * acc", "return cfg, acc")]),
    (TERSE, [("J = ((model(X) - X) ** 2).mean()", "J = nn.MSELoss()(model(X), X)")]),
    (TERSE, [("i += p.numel()", "i = i + p.nelement()"), ("nn.ReLU(inplace=True)", "nn.ReLU()")]),
]
