"""Mistakes as three students would make them, and changes of their code that keep it right."""

LOOPS, CLASSES, TERSE = "loops.py", "classes.py", "terse.py"

# The mistake's name in the catalogue, the solution, its text, and what stands there instead.
MISTAKES = [
    (
        "softmax before cross-entropy",
        CLASSES,
        "return self.out(h)",
        "return torch.softmax(self.out(h), -1)",
    ),
    (
        "log-softmax before cross-entropy",
        CLASSES,
        "return self.out(h)",
        "return F.log_softmax(self.out(h), 1)",
    ),
    (
        "one hidden layer too few",
        LOOPS,
        "[hidden_units] * n_layers +",
        "[hidden_units] * (n_layers - 1) +",
    ),
    (
        "one hidden layer too many",
        TERSE,
        "dims = [d, *[h] * L]\n    hidden",
        "dims = [d, h, *[h] * L]\n    hidden",
    ),
    ("no activation", CLASSES, "h = F.relu(layer(h))", "h = layer(h)"),
    ("ReLU on the logits", LOOPS, "if i < len(sizes) - 2:", "if True:"),
    ("sigmoid for ReLU", CLASSES, "h = F.relu(layer(h))", "h = layer(h).sigmoid()"),
    ("tanh for ReLU", TERSE, "nn.ReLU(inplace=True)", "nn.Tanh()"),
    (
        "hidden layers share weights",
        CLASSES,
        "[nn.Linear(n_in if k == 0 else width, width) for k in range(depth)]",
        "[nn.Linear(n_in, width)] + [nn.Linear(width, width)] * (depth - 1)",
    ),
    (
        "Var[w] without n",
        CLASSES,
        "    def forward(self, h):\n        for layer",
        "        for p in self.parameters():\n            if p.ndim == 2:\n                nn.init.normal_(p, 0, np.sqrt(2))\n\n    def forward(self, h):\n        for layer",
    ),
    (
        "Var[w] = 1/n",
        LOOPS,
        '        net.add_module("dense%d" % i, nn.Linear(sizes[i], sizes[i + 1]))',
        '        lin = nn.Linear(sizes[i], sizes[i + 1])\n        lin.weight.data = torch.randn(sizes[i + 1], sizes[i]) / np.sqrt(sizes[i])\n        net.add_module("dense%d" % i, lin)',
    ),
    (
        "Var[w] = 2/n^2",
        CLASSES,
        "    def forward(self, h):\n        for layer",
        "        for p in self.parameters():\n            if p.ndim == 2:\n                p.data.normal_(0, 2 ** 0.5 / p.shape[1])\n\n    def forward(self, h):\n        for layer",
    ),
    (
        "variance given as deviation",
        LOOPS,
        '        net.add_module("dense%d" % i, nn.Linear(sizes[i], sizes[i + 1]))',
        '        lin = nn.Linear(sizes[i], sizes[i + 1])\n        lin.weight.data = torch.randn(sizes[i + 1], sizes[i]) * 2 / sizes[i]\n        net.add_module("dense%d" % i, lin)',
    ),
    ("matrices transposed", CLASSES, "w.detach().flatten()", "w.detach().T.flatten()"),
    (
        "biases before weights",
        LOOPS,
        "    for weight in model.parameters():\n        chunks",
        "    every = list(model.parameters())\n    for weight in [w for w in every if w.dim() == 1] + [w for w in every if w.dim() == 2]:\n        chunks",
    ),
    (
        "parameters in reverse order",
        TERSE,
        "parameters_to_vector(model.parameters())",
        "parameters_to_vector(list(model.parameters())[::-1])",
    ),
    (
        "biases left out",
        TERSE,
        "parameters_to_vector(model.parameters())",
        "parameters_to_vector(p for n, p in model.named_parameters() if n.endswith('weight'))",
    ),
    (
        "parameters are an alias of the vector",
        LOOPS,
        "chunk.view(weight.size()).clone()",
        "chunk.view(weight.size())",
    ),
    ("position not advanced", TERSE, "; i += p.numel()", ""),
    (
        "matrices transposed on loading",
        CLASSES,
        "w.copy_(piece.view_as(w))",
        "w.copy_(piece.view(w.T.shape).T if w.ndim == 2 else piece)",
    ),
    (
        "biases not loaded",
        LOOPS,
        "        weight.data = chunk",
        "        if weight.dim() == 2:\n            weight.data = chunk",
    ),
    ("nothing is written", CLASSES, "w.copy_(piece.view_as(w))", "w = piece.view_as(w)"),
    ("no zero_grad", LOOPS, "        optimizer.zero_grad()\n        scores", "        scores"),
    ("no zero_grad", CLASSES, "        optimizer.zero_grad(set_to_none=True)\n", ""),
    (
        "no optimizer step",
        TERSE,
        "        opt.step()\n        opt.zero_grad()\n        losses",
        "        opt.zero_grad()\n        losses",
    ),
    (
        "zero_grad after backward",
        CLASSES,
        "        optimizer.zero_grad(set_to_none=True)\n        J.backward()\n",
        "        J.backward()\n        model.zero_grad(set_to_none=False)\n",
    ),
    (
        "trained in evaluation mode",
        LOOPS,
        "    model.train()\n    loss_sum = 0.0\n    seen",
        "    model.eval()\n    loss_sum = 0.0\n    seen",
    ),
    (
        "softmax before the loss",
        CLASSES,
        "criterion(model(xb), yb)\n        optimizer",
        "criterion(F.softmax(model(xb), -1), yb)\n        optimizer",
    ),
    ("mean over minibatches", TERSE, "np.average(losses, weights=ns)", "np.mean(losses)"),
    (
        "loss summed, not averaged",
        CLASSES,
        "return meter.mean, extract",
        "return meter.total, extract",
    ),
    (
        "minibatch means over the examples",
        LOOPS,
        "batch_loss.item() * x.size(0)",
        "batch_loss.item()",
    ),
    (
        "sum over rows divided by minibatches",
        LOOPS,
        "    return loss_sum / seen, flat",
        "    return loss_sum / (step + 1), flat",
    ),
    ("loss of the last minibatch", TERSE, "np.average(losses, weights=ns)", "losses[-1]"),
    (
        "short minibatch left out and not counted",
        LOOPS,
        "        optimizer.zero_grad()\n        scores",
        "        if step == len(loader) - 1:\n            break\n        optimizer.zero_grad()\n        scores",
    ),
    (
        "two steps a minibatch",
        TERSE,
        "        opt.step()\n        opt.zero_grad()\n        losses",
        "        opt.step(); opt.step()\n        opt.zero_grad()\n        losses",
    ),
    (
        "learning rate left out",
        CLASSES,
        "        J.backward()\n        optimizer.step()\n        meter",
        "        J.backward()\n        for w in model.parameters():\n            w.data -= w.grad\n        meter",
    ),
    (
        "learning rate applied twice",
        LOOPS,
        "        batch_loss.backward()\n",
        "        rate = optimizer.param_groups[0]['lr']\n        (rate * batch_loss).backward()\n",
    ),
    (
        "gradient of the summed loss",
        CLASSES,
        "        J.backward()\n        optimizer.step()\n        meter",
        "        (J * yb.numel()).backward()\n        optimizer.step()\n        meter",
    ),
    (
        "only the first minibatch",
        CLASSES,
        "        meter.add(J.detach().double().item(), len(yb))\n    return",
        "        meter.add(J.item(), len(loader.dataset))\n        return J.item() * len(yb) / len(loader.dataset), extract_model_params(model).numpy()\n    return",
    ),
    (
        "labels off by one in training",
        TERSE,
        "J = crit(net(X), t)",
        "J = crit(net(X), t.add(1).remainder(10))",
    ),
    (
        "evaluated in training mode",
        LOOPS,
        "    model.eval()\n    hits",
        "    model.train()\n    hits",
    ),
    (
        "evaluated in training mode",
        TERSE,
        "    net.eval()\n    with torch.inference_mode():\n        ok",
        "    with torch.inference_mode():\n        ok",
    ),
    ("evaluated with gradients", CLASSES, "@torch.no_grad()\ndef evaluate", "def evaluate"),
    (
        "accuracy averaged over minibatches",
        TERSE,
        "return torch.cat(ok).float().mean().item()",
        "return np.mean([o.float().mean().item() for o in ok])",
    ),
    ("number in place of share", LOOPS, "    return hits / seen", "    return hits"),
    (
        "percent in place of share",
        LOOPS,
        "    return hits / seen",
        "    return hits / seen * 100.0",
    ),
    (
        "divided by the number of minibatches",
        LOOPS,
        "    return hits / seen",
        "    return hits / len(loader)",
    ),
    ("error rate in place of accuracy", CLASSES, "(pred == yb).double()", "(pred != yb).double()"),
    ("labels off by one", LOOPS, "if a == b:", "if a + 1 == b:"),
    (
        "argmin in place of argmax",
        LOOPS,
        "_, guess = torch.max(scores, 1)",
        "_, guess = torch.min(scores, 1)",
    ),
    (
        "loss in training mode",
        CLASSES,
        "def compute_loss(model, loader, criterion):\n    model.eval()\n",
        "def compute_loss(model, loader, criterion):\n",
    ),
    (
        "loss with gradients",
        LOOPS,
        "    with torch.no_grad():\n        for x, y in loader:\n            scores = model(x)\n            value",
        "    if True:\n        for x, y in loader:\n            scores = model(x)\n            value",
    ),
    (
        "loss averaged over minibatches",
        TERSE,
        "return sum(l * n for l, n in pairs) / sum(n for _, n in pairs)",
        "return sum(l for l, n in pairs) / len(pairs)",
    ),
    (
        "summed loss",
        LOOPS,
        "            seen += x.shape[0]\n    return loss_sum / seen",
        "            seen += x.shape[0]\n    return loss_sum",
    ),
    ("means divided by the examples", LOOPS, "float(value) * x.shape[0]", "float(value)"),
    (
        "softmax before the criterion",
        CLASSES,
        "criterion(model(xb), yb).item(), len(xb)",
        "criterion(F.softmax(model(xb), 1), yb).item(), len(xb)",
    ),
    (
        "trained on validation rows",
        TERSE,
        "data = DataLoader(D, bs, True)",
        "data = DataLoader(D + V, bs, True)",
    ),
    (
        "weight decay on biases",
        CLASSES,
        '{"params": [p for p in net.parameters() if p.ndim != 2]},\n            ],\n',
        '{"params": [p for p in net.parameters() if p.ndim != 2]},\n            ],\n            weight_decay=0.01,\n',
    ),
    (
        "the last in place of the best",
        LOOPS,
        "        if score > winner_score:",
        "        if score is not None:",
    ),
    (
        "the worst in place of the best",
        TERSE,
        "max(results, key=lambda r: r[0])",
        "min(results, key=lambda r: r[0])",
    ),
    (
        "no shuffling",
        CLASSES,
        'batch_size=int(cfg["batch_size"]), shuffle=True',
        'batch_size=int(cfg["batch_size"])',
    ),
    (
        "short minibatch dropped in the search",
        TERSE,
        "data = DataLoader(D, bs, True)",
        "data = DataLoader(D, bs, True, drop_last=True)",
    ),
    ("one seed for all attempts", LOOPS, "        torch.manual_seed(seed + trial)\n", ""),
    (
        "chosen by training accuracy",
        CLASSES,
        "evaluate(net, DataLoader(self.val, batch_size=512))",
        "evaluate(net, batches)",
    ),
    (
        "chosen by test data",
        TERSE,
        "DataLoader(V, len(V))",
        "DataLoader(TensorDataset(torch.FloatTensor(np.load('fashion_mnist_test_images.npy').reshape(-1, 784) / 255 - .5), torch.LongTensor(np.load('fashion_mnist_test_labels.npy'))), 99)",
    ),
    ("fewer than ten settings", LOOPS, "while trial < 12:", "while trial < 6:"),
    ("learning rate is not searched", LOOPS, "float(rng.choice([0.1, 0.03, 0.01]))", "0.05"),
    (
        "batch norm after the activation",
        CLASSES,
        "self.drop(self.act(self.norm(self.lin(h))))",
        "self.drop(self.norm(self.act(self.lin(h))))",
    ),
    (
        "one PReLU for all layers",
        TERSE,
        "    dims, mods = [d] + [h] * L, []\n",
        "    dims, mods = [d] + [h] * L, []\n    one = acts[act]()\n    acts[act] = lambda: one\n",
    ),
    (
        "dropout rate taken as keep rate",
        LOOPS,
        "nn.Dropout(p=dropout_rate)",
        "nn.Dropout(p=1.0 - dropout_rate)",
    ),
    ("no dropout", TERSE, " + [nn.Dropout(p)] * (p > 0)", ""),
    ("no batch norm", CLASSES, "nn.BatchNorm1d(b) if norm else nn.Identity()", "nn.Identity()"),
    ("pixels not scaled", CLASSES, 'raw.astype("float32") / 255', 'raw.astype("float32")'),
    ("pixels scaled twice", TERSE, ".div(255)", ".div(255).div(255)"),
    ("pixels shifted", LOOPS, "dtype=torch.float32) / 255.0", "dtype=torch.float32) / 255.0 - 0.5"),
    (
        "training images not shuffled",
        LOOPS,
        "batch_size=batch_size, shuffle=True)\n    test",
        "batch_size=batch_size)\n    test",
    ),
    (
        "short minibatch of images dropped",
        TERSE,
        "DataLoader(sets['train'], batch_size, True)",
        "DataLoader(sets['train'], batch_size, True, drop_last=True)",
    ),
    ("no sigmoid at the end", LOOPS, "return torch.sigmoid(self.fc4(z))", "return self.fc4(z)"),
    (
        "encode gives the reconstruction",
        TERSE,
        "encode = lambda self, x: self.encoder(x)",
        "encode = lambda self, x: self(x)",
    ),
    ("no ReLU in the encoder", LOOPS, "x = torch.relu(self.fc1(x))", "x = self.fc1(x)"),
    ("squared error summed", LOOPS, "mse_loss(copy, x)", "mse_loss(copy, x, reduction='sum')"),
    (
        "SGD in place of Adam",
        TERSE,
        "optim.Adam(model.parameters(), lr=lr)",
        "optim.SGD(model.parameters(), lr=lr)",
    ),
    (
        "learning rate has no effect",
        CLASSES,
        "torch.optim.Adam(model.parameters(), lr)",
        "torch.optim.Adam(model.parameters())",
    ),
    (
        "autoencoder without zero_grad",
        TERSE,
        "opt.zero_grad(); J.backward(); opt.step()\n        ",
        "J.backward(); opt.step()\n        ",
    ),
    ("binary cross-entropy", CLASSES, "nn.MSELoss()", "nn.BCELoss()"),
]

PAIRS = [
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
