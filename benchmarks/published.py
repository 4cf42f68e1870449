"""Multistage distillation in the way of the method's published script, to compare with: what `pipeline.py` times.

    python benchmarks/published.py JOB.json

An accelerate loop over batches of 2 rows in a fixed order with 16 accumulated, `model.generate` for 8 inputs at a time,
one student after the other, and what a student writes is the next one's target as it stands. Data, initial checkpoint,
optimiser steps, learning rate and its decay are those of the job; two threads, as torch takes them.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import Accelerator

from mckd_ray.corpora import partitioned
from mckd_ray.errors import LinearisationError
from mckd_ray.evaluation.scoring import evaluate
from mckd_ray.records import Example, Gold, Label, Outcome, read_rows
from mckd_ray.student.pieces import Pieces
from mckd_ray.tasks import TASKS

BATCH, ACCUMULATED, GENERATED = 2, 16, 8
IGNORED = -100
LIBRARY: Any = transformers  # Parts of it have no types.
Pairs = list[tuple[Example, str]]


class Published:
    """The script."""

    def __init__(self, job: dict[str, Any]) -> None:
        """`job`: what `pipeline.py` writes."""
        self.job, self.task = job, TASKS["constituency"]
        self.words = self.task.linearisations[job["linearisation"]]
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(job["checkpoint"])
        self.pieces = Pieces(self.tokenizer)
        self.seconds = {"train": 0.0, "relabel": 0.0}

    def train(self, rows: Pairs) -> Any:
        """A student from the initial checkpoint."""
        start = time.perf_counter()
        accelerator = Accelerator(gradient_accumulation_steps=ACCUMULATED, cpu=True)
        model = transformers.AutoModelForSeq2SeqLM.from_pretrained(self.job["checkpoint"])
        optimiser = torch.optim.AdamW(model.parameters(), lr=self.job["learning_rate"])
        steps = self.job["steps"]
        schedule = LIBRARY.get_linear_schedule_with_warmup(optimiser, 0, steps)
        data = [(self.pieces.source(one.source), self.pieces.symbols(text)) for one, text in rows if text]
        loader: Any = torch.utils.data.DataLoader(
            data,  # type: ignore[arg-type]
            BATCH,
            shuffle=False,
            collate_fn=self._collate,
        )
        model, optimiser, loader = accelerator.prepare(model, optimiser, loader)
        model.train()
        done = 0
        while done < steps:
            for batch in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(model(**batch).loss)
                    if accelerator.sync_gradients:
                        accelerator.clip_grad_norm_(model.parameters(), 1.0)
                    optimiser.step()
                    if accelerator.sync_gradients:
                        schedule.step()
                        done += 1
                    optimiser.zero_grad()
                if done == steps:
                    break
        self.seconds["train"] += time.perf_counter() - start
        return accelerator.unwrap_model(model).eval()

    @torch.no_grad()
    def label(self, model: Any, examples: Sequence[Example]) -> Pairs:
        """What a student writes."""
        start = time.perf_counter()
        written: Pairs = []
        for at in range(0, len(examples), GENERATED):
            batch = examples[at : at + GENERATED]
            inputs = self.tokenizer.pad(
                {"input_ids": [self.pieces.source(one.source) for one in batch]}, return_tensors="pt"
            )
            outputs = model.generate(**inputs, max_new_tokens=self.job["max_target"], do_sample=False)
            written += [(one, self.pieces.decode(ids[1:])) for one, ids in zip(batch, outputs.tolist(), strict=True)]
        self.seconds["relabel"] += time.perf_counter() - start
        return written

    def run(self) -> dict[str, Any]:
        """K = 3 stages over P = 2 partitions; returns seconds and scores on test."""
        start = time.perf_counter()
        pool = read_rows(Path(self.job["pool"]), Example)
        labels = {label.id: label for label in read_rows(Path(self.job["labels"]), Label)}
        parts = [
            [(one, self.words.linearise(labels[one.id].target, one)) for one in part if labels[one.id].outcome.usable]
            for part in partitioned(pool, 2)
        ]
        for _ in range(2):
            a, b = (self.train(part) for part in parts)
            inputs = [[one for one, _ in part] for part in parts]
            parts = [self.label(b, inputs[0]), self.label(a, inputs[1])]
        final = self.train([*parts[0], *parts[1]])
        test = read_rows(Path(self.job["test"]), Example)
        answers = self.label(final, test)
        gold = {row.id: row.target for row in read_rows(Path(self.job["gold"]), Gold)}
        scores = evaluate(self.task, test, gold, [self._read(*answer) for answer in answers]).scores
        return {"seconds": time.perf_counter() - start, "phases": self.seconds, "scores": scores}

    def _read(self, example: Example, text: str) -> Label:
        try:
            return Label(example.id, self.words.parse(text, example), text, Outcome.OK)
        except LinearisationError as error:
            return Label(example.id, "", text, Outcome.UNPARSABLE, reason=str(error))

    def _collate(self, rows: Sequence[tuple[list[int], list[int]]]) -> dict[str, torch.Tensor]:
        sources, targets = zip(*rows, strict=True)
        inputs = self.tokenizer.pad({"input_ids": list(sources)}, return_tensors="pt")
        labels = self.tokenizer.pad({"input_ids": list(targets)}, return_tensors="pt")
        return {**inputs, "labels": labels["input_ids"].masked_fill(labels["attention_mask"] == 0, IGNORED)}


if __name__ == "__main__":
    LIBRARY.utils.logging.set_verbosity_error()
    LIBRARY.utils.logging.disable_progress_bar()
    transformers.set_seed(1)
    path = Path(sys.argv[1])
    result = Published(json.loads(path.read_text(encoding="utf-8"))).run()
    path.with_name("result.json").write_text(json.dumps(result), encoding="utf-8")
