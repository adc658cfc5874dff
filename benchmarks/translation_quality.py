"""A translator trained on real sentences: its BLEU, and its BLEU against time beside torch's.

    python benchmarks/translation_quality.py --data multi30k --run FOLDER [--steps 8000]
    python benchmarks/translation_quality.py --data multi30k --run FOLDER --peer [--minutes 30]
    python benchmarks/translation_quality.py --data multi30k --run FOLDER --record
    python benchmarks/translation_quality.py --data multi30k --run FOLDER --peer --record
    python benchmarks/translation_quality.py --data multi30k --run FOLDER --losses NAME [--note …]

The first command trains by `course.translation.Recipe`'s defaults, the second the same model made
of `torch.nn.Transformer`, with the vocabulary, batches, loss and schedule of the first. Each writes
a curve: seconds and CPU seconds of training so far, and BLEU of the validation sentences by greedy
search with the weights as they are, which is not counted. Both go on where they were stopped. The
third scores the test splits, once, with the mean of the last checkpoints and four beams, prints
the table with the baselines, and writes benchmarks/results/translation_DATA.json. The fourth puts
torch's curve into that file, and scores nothing.

Baselines: the source as it is, and the translation of the training sentence that shares the most
words with the source (the nearest by tf-idf).
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"
TESTS = {
    "multi30k": ("test_2016_flickr", "test_2017_flickr", "test_2017_mscoco"),
    "tatoeba-en-zh": ("test",),
}


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Curve:
    """The points of one curve, in a file of JSON lines."""

    def __init__(self, path, pairs, language):
        self.path, self.pairs, self.language = path, pairs, language
        self.points = read_lines(path)

    def add(self, translate, step, seconds, cpu_seconds):
        """Scores the validation sentences; `translate` maps a list of strings to another."""
        from course import runtime, translation

        found = translate([source for source, _ in self.pairs])
        references = [target for _, target in self.pairs]
        bleu = translation.bleu(found, references, language=self.language)["score"]
        self.points = [point for point in self.points if point["step"] < step]
        self.points.append(
            {
                "step": step,
                "seconds": round(seconds, 1),
                "cpu_seconds": round(cpu_seconds, 1),
                "bleu": round(bleu, 2),
            }
        )
        text = "".join(json.dumps(point) + "\n" for point in self.points)
        runtime.write_atomically(self.path, text.encode())
        print(self.points[-1], flush=True)


def train_ours(recipe, pairs, validation, folder, language, every):
    import keras

    from course import translation
    from course.tokens import Tokenizer
    from course.translation import Translator

    curve = Curve(folder / "curve.jsonl", validation, language)

    class Scorer(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if (epoch + 1) % every == 0:
                line = read_lines(folder / "log.jsonl")[epoch]
                translator = Translator(self.model.transformer, Tokenizer.load(folder))
                curve.add(translator, line["step"], line["seconds"], line["cpu_seconds"])

    translation.train_translator(
        recipe, pairs, folder, validation=validation, callbacks=[Scorer()] if every else ()
    )


# The peer


def torch_model(recipe, size):
    import torch
    from torch import nn

    from course.exercises.positions.probes import waves

    width, layers = recipe.d_model, recipe.num_layers
    table = torch.tensor(waves({"length": 512, "d_model": width}), dtype=torch.float32)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(size, width)
            nn.init.normal_(self.embedding.weight, std=width**-0.5)
            self.body = nn.Transformer(
                width,
                recipe.num_heads,
                layers,
                layers,
                recipe.d_ff,
                recipe.dropout,
                batch_first=True,
                norm_first=recipe.norm == "pre",
            )
            self.dropout = nn.Dropout(recipe.dropout)

        def embed(self, ids):
            x = self.embedding(ids) * width**0.5 + table[: ids.shape[1]]
            return self.dropout(x)

        def encode(self, source):
            pads = source == 0
            return self.body.encoder(self.embed(source), src_key_padding_mask=pads), pads

        def decode(self, given, memory, pads):
            length = given.shape[1]
            causal = torch.triu(torch.ones(length, length, dtype=torch.bool), 1)
            return self.body.decoder(
                self.embed(given),
                memory,
                tgt_mask=causal,
                memory_key_padding_mask=pads,
                tgt_is_causal=True,
            )

        def logits(self, x):
            return x @ self.embedding.weight.T

    return Model()


def torch_greedy(model, tokenizer, texts, rows=128):
    """Strings to strings, a batch of similar lengths at a time."""
    import torch

    sources = [ids[1:] for ids in tokenizer.encode_batch(list(texts))]
    order = np.argsort([len(ids) for ids in sources], kind="stable")
    found = [""] * len(sources)
    model.eval()
    with torch.no_grad():
        for start in range(0, len(order), rows):
            chosen = order[start : start + rows]
            longest = max(len(sources[i]) for i in chosen)
            source = np.zeros((len(chosen), longest), "int64")
            for row, i in zip(source, chosen, strict=True):
                row[: len(sources[i])] = sources[i]
            memory, pads = model.encode(torch.from_numpy(source))
            ids = torch.full((len(chosen), 1), tokenizer.start_id)
            done = torch.zeros(len(chosen), dtype=torch.bool)
            while not done.all() and ids.shape[1] < longest * 3 // 2 + 10:
                scores = model.logits(model.decode(ids, memory, pads)[:, -1])
                scores[:, [tokenizer.pad_id, tokenizer.start_id]] = -torch.inf
                following = scores.argmax(-1).masked_fill(done, tokenizer.pad_id)
                ids = torch.cat([ids, following[:, None]], 1)
                done |= following == tokenizer.end_id
            for i, text in zip(chosen, tokenizer.decode_batch(ids.numpy()), strict=True):
                found[i] = text
    model.train()
    return found


def train_peer(recipe, pairs, validation, folder, language, every, minutes):
    import torch
    from torch.nn.functional import cross_entropy

    from course import training, translation
    from course.tokens import Tokenizer

    tokenizer = Tokenizer.load(folder)
    batches = translation.pair_batches(
        tokenizer, pairs, recipe.max_tokens, seed=recipe.seed, too_long="drop", max_length=256
    )
    stream = training.Rounds(batches, recipe.round_steps)
    torch.manual_seed(recipe.seed)
    model = torch_model(recipe, tokenizer.vocab_size).train()
    optimizer = torch.optim.Adam(model.parameters(), 1.0, (0.9, recipe.beta_2), eps=recipe.epsilon)
    warmup_steps = recipe.warmup(recipe.max_steps)
    scale = recipe.learning_rate * warmup_steps**0.5

    def rate(step):  # counted from 0
        rate = scale * min((step + 1) ** -0.5, (step + 1) * warmup_steps**-1.5)
        left = (recipe.max_steps - step - 1) / max(1, recipe.cooldown_steps)
        return rate * min(1.0, left) if recipe.cooldown_steps else rate

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    curve = Curve(folder / "curve_torch.jsonl", validation, language)
    saved, seconds, cpu_seconds, first = folder / "torch.pt", 0.0, 0.0, 0
    if saved.exists():
        state = torch.load(saved, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        seconds, cpu_seconds, first = state["seconds"], state["cpu_seconds"], state["rounds"]
    for number in range(first, -(-recipe.max_steps // recipe.round_steps)):
        if cpu_seconds > minutes * 60:
            break
        stream.round = number
        wall, cpu = time.perf_counter(), time.process_time()
        for index in range(recipe.round_steps):
            (source, given), labels = stream[index]
            source, given, labels = (torch.from_numpy(x).long() for x in (source, given, labels))
            optimizer.zero_grad()
            memory, pads = model.encode(source)
            vectors = model.decode(given, memory, pads)
            loss = cross_entropy(
                model.logits(vectors).flatten(0, 1),
                labels.flatten(),
                ignore_index=0,
                label_smoothing=recipe.label_smoothing,
            )
            loss.backward()
            optimizer.step()
            schedule.step()
        seconds += time.perf_counter() - wall
        cpu_seconds += time.process_time() - cpu
        if every and (number + 1) % every == 0:
            step = (number + 1) * recipe.round_steps
            curve.add(lambda t: torch_greedy(model, tokenizer, t), step, seconds, cpu_seconds)
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "seconds": seconds,
            "cpu_seconds": cpu_seconds,
            "rounds": number + 1,
        }
        torch.save(state, saved.with_suffix(".new"))
        saved.with_suffix(".new").replace(saved)


# The record


def nearest(pairs, sources):
    """For each source the target of the training source with the largest tf-idf cosine."""
    import re
    from collections import Counter, defaultdict

    words = re.compile(r"\w+")

    def bag(text):
        return Counter(words.findall(text.lower()))

    bags = [bag(source) for source, _ in pairs]
    documents = Counter(word for found in bags for word in found)
    idf = {word: np.log(len(pairs) / count) for word, count in documents.items()}
    postings = defaultdict(list)
    for i, found in enumerate(bags):
        norm = np.sqrt(sum((n * idf[w]) ** 2 for w, n in found.items())) or 1.0
        for word, n in found.items():
            postings[word].append((i, n * idf[word] / norm))
    postings = {
        w: (np.array([i for i, _ in p]), np.array([v for _, v in p])) for w, p in postings.items()
    }
    chosen = []
    for source in sources:
        scores = np.zeros(len(pairs))
        for word, n in bag(source).items():
            if word in postings:
                rows, values = postings[word]
                scores[rows] += values * n * idf[word]
        chosen.append(pairs[int(scores.argmax())][1])
    return chosen


def record(arguments, recipe, pairs, folder, source, target):
    from course import runtime, translation

    translator = translation.load_translator(folder)
    log = read_lines(folder / "log.jsonl")
    bleu, chrf, baselines = {}, {}, {}
    for split in TESTS[arguments.data]:
        tests = translation.load_pairs(arguments.data, split, source, target)
        sources, references = zip(*tests, strict=True)
        systems = {
            "ours": translator(sources, num_beams=4),
            "source copied": sources,
            "nearest neighbour": nearest(pairs, sources),
        }
        scores = {
            name: translation.bleu(found, references, language=target)
            for name, found in systems.items()
        }
        signature = scores["ours"]["signature"]
        bleu[split] = round(scores.pop("ours")["score"], 2)
        chrf[split] = round(translation.chrf(systems["ours"], references)["score"], 2)
        baselines[split] = {name: round(score["score"], 2) for name, score in scores.items()}
        print(split, bleu[split], chrf[split], baselines[split], flush=True)
    result = {
        "command": f"python benchmarks/translation_quality.py --data {arguments.data}"
        f" --pair {arguments.pair} --run FOLDER --steps {log[-1]['step']}"
        + f" --set {' '.join(arguments.set)}"
        * bool(arguments.set),
        "hardware": runtime.hardware(),
        "note": arguments.note,
        "seed": recipe.seed,
        "steps": log[-1]["step"],
        "epochs": log[-1]["epoch"],
        "minutes": round(log[-1]["seconds"] / 60, 1),
        "cpu_minutes": round(log[-1]["cpu_seconds"] / 60, 1),
        "parameters": int(translator.model.count_params()),
        "vocabulary": translator.tokenizer.vocab_size,
        "search": "4 beams, mean of the last checkpoints",
        "bleu": bleu,
        "chrf": chrf,
        "baselines": baselines,
        "signature": signature,
        "curve": read_lines(folder / "curve.jsonl"),
        "curve_torch": read_lines(folder / "curve_torch.jsonl"),
    }
    write(result_path(arguments), result)


def record_peer(arguments):
    """Puts the peer's curve, and what there is to say of it, beside ours."""
    path = result_path(arguments)
    result = json.loads(path.read_text(encoding="utf-8"))
    result["curve_torch"] = read_lines(arguments.run / "curve_torch.jsonl")
    result["note_torch"] = arguments.note
    write(path, result)


def result_path(arguments):
    return RESULTS / f"translation_{arguments.data.replace('-', '_')}.json"


def write(path, result):
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to benchmarks/results/{path.name}")


def losses(arguments):
    """Puts the log of a run beside those that are there."""
    path = RESULTS / "translation_losses.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    kept = ("step", "epoch", "seconds", "nll", "val_nll")
    told = json.loads((arguments.run / "run.json").read_text(encoding="utf-8"))
    known[arguments.losses] = {
        "note": arguments.note,
        "settings": told,
        "log": [{k: line[k] for k in kept} for line in read_lines(arguments.run / "log.jsonl")],
    }
    write(path, known)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, choices=TESTS)
    parser.add_argument("--pair", default="en-de")
    parser.add_argument("--run", type=Path, required=True, help="where the run lives")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--set", nargs="*", default=[], help="NAME=VALUE of the recipe")
    parser.add_argument("--peer", action="store_true", help="train torch's model, after ours")
    parser.add_argument("--minutes", type=float, default=1e9, help="CPU minutes of the peer")
    parser.add_argument("--every", type=int, default=2, help="rounds between two points; 0: none")
    parser.add_argument("--note", default="", help="what else the machine did, for the record")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--losses", metavar="NAME", help="what to call the run's losses")
    arguments = parser.parse_args()
    if arguments.losses:
        return losses(arguments)
    if arguments.record and arguments.peer:
        return record_peer(arguments)

    from course import translation
    from course.cli.train import recipe_from

    recipe = recipe_from(translation.Recipe, arguments.set, max_steps=arguments.steps)
    source, _, target = arguments.pair.partition("-")
    arguments.run.mkdir(parents=True, exist_ok=True)
    pairs, validation = (
        translation.load_pairs(arguments.data, split, source, target)
        for split in ("train", "validation")
    )
    given = recipe, pairs, validation, arguments.run, target, arguments.every
    if arguments.record:
        record(arguments, recipe, pairs, arguments.run, source, target)
    elif arguments.peer:
        train_peer(*given, arguments.minutes)
    else:
        train_ours(*given)
    return None


if __name__ == "__main__":
    main()
