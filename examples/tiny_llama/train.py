"""Train a Llama of 91,000 parameters to sort letters, and check it on every possible input.

    python examples/tiny_llama/train.py             train, check, write model/
    python examples/tiny_llama/train.py --check     check model/ on all 55,986 inputs

One eighth of the inputs of six letters is never trained on; the check counts it apart.
The same machine, thread count and library versions give the same weights.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from task import LONGEST, answer, prompts
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

Array = npt.NDArray[np.int64]

BEGIN, END = "<s>", "</s>"
#: Label of a position that has no part in the loss; torch's own convention.
IGNORED = -100
#: How often each length from 1 to 6 is drawn: the more inputs it has, the more often.
LENGTH_WEIGHTS = (1, 1, 2, 4, 8, 16)


def make_tokenizer() -> Any:
    """Return a byte-level BPE whose merges come from the task's frame alone.

    The letters to be sorted meet no merge, so each stays a token of its own.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=288,
        min_frequency=1,
        special_tokens=[BEGIN, END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["sort: ="], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A",
        pair=f"{BEGIN} $A $B",
        special_tokens=[(BEGIN, tokenizer.token_to_id(BEGIN))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=END,
        clean_up_tokenization_spaces=False,
        model_max_length=32,
    )


def make_model(tokenizer: Any) -> Any:
    """Return the untrained model: 2 layers, 4 heads that share 2 pairs of keys and values."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=32,
            initializer_range=0.08,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=None,
        )
    )


def encode(tokenizer: Any, texts: list[str]) -> tuple[Array, Array]:
    """Return (ids, labels) of prompts with their answers, padded; only answers have labels."""
    heads = tokenizer(texts)["input_ids"]
    tails = tokenizer([answer(t) for t in texts], add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    length = max(len(h) + len(t) + 1 for h, t in zip(heads, tails, strict=True))
    ids = np.full((len(texts), length), end, np.int64)
    labels = np.full((len(texts), length), IGNORED, np.int64)
    for row, (head, tail) in enumerate(zip(heads, tails, strict=True)):
        whole = [*head, *tail, end]
        ids[row, : len(whole)] = whole
        labels[row, len(head) : len(whole)] = whole[len(head) :]
    return ids, labels


def split(seed: int = 0) -> tuple[list[list[str]], list[str]]:
    """Return the inputs to train on, by length, and those held out."""
    by_length: list[list[str]] = [[] for _ in range(LONGEST)]
    for prompt in prompts():
        by_length[len(answer(prompt)) - 2].append(prompt)
    order = np.random.default_rng(seed).permutation(len(by_length[-1]))
    longest, cut = by_length[-1], len(order) // 8
    by_length[-1] = [longest[i] for i in order[cut:]]
    return by_length, [longest[i] for i in order[:cut]]


def train(model: Any, tokenizer: Any, steps: int, batch: int, rate: float) -> None:
    """Minimise the cross-entropy of the answers."""
    pools, _ = split()
    weights = np.array(LENGTH_WEIGHTS) / sum(LENGTH_WEIGHTS)
    bounds = np.cumsum([0, *map(len, pools)])
    every = [torch.from_numpy(a) for a in encode(tokenizer, [p for pool in pools for p in pool])]
    rng = np.random.default_rng(1)
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps, pct_start=0.1)
    start = time.perf_counter()
    model.train()
    for step in range(1, steps + 1):
        length = rng.choice(LONGEST, batch, p=weights)
        picked = torch.from_numpy(rng.integers(bounds[length], bounds[length + 1]))
        loss = model(input_ids=every[0][picked], labels=every[1][picked]).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            elapsed = time.perf_counter() - start
            print(f"step {step:5}  loss {loss.item():.5f}  {elapsed:4.0f} s", flush=True)
    model.eval()


def wrong_answers(model: Any, tokenizer: Any, texts: list[str], batch: int = 64) -> list[str]:
    """Return the inputs that greedy decoding answers wrongly.

    One pass over prompt and answer decides: as long as every token so far was the right one,
    decoding sees exactly the right answer's beginning.
    """
    wrong = []
    for start in range(0, len(texts), batch):
        part = texts[start : start + batch]
        ids, labels = (torch.from_numpy(a) for a in encode(tokenizer, part))
        with torch.inference_mode():
            best = model(input_ids=ids).logits[:, :-1].argmax(-1)
        wanted = labels[:, 1:]
        right = ((best == wanted) | (wanted == IGNORED)).all(-1)
        wrong += [text for text, ok in zip(part, right.tolist(), strict=True) if not ok]
    return wrong


def check(folder: Path) -> bool:
    """Try every input on the model in `folder`; print what was found."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    everything = prompts()
    start = time.perf_counter()
    wrong = wrong_answers(model, tokenizer, everything)
    elapsed = time.perf_counter() - start
    held_out = set(split()[1])
    missed = sum(text in held_out for text in wrong)
    print(f"parameters        {sum(p.numel() for p in model.parameters()):,}")
    print(f"all inputs        {len(everything) - len(wrong):,} of {len(everything):,} right")
    print(f"never trained on  {len(held_out) - missed:,} of {len(held_out):,} right")
    print(f"time              {elapsed:.0f} s")
    for text in wrong[:10]:
        print(f"wrong: {text}")
    shown = "sort: dacbfa ="
    given = tokenizer(shown, return_tensors="pt")
    with torch.inference_mode():
        made = model.generate(**given)[0, given["input_ids"].shape[1] :]
    print(f"example           {shown!r} -> {tokenizer.decode(made, skip_special_tokens=True)!r}")
    return not wrong


def main() -> None:
    """Read the options, train unless only a check is wanted, check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="check the trained folder only")
    parser.add_argument("--model", type=Path, default=Path(__file__).parent / "model")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.check:
        torch.manual_seed(0)
        torch.use_deterministic_algorithms(True)
        tokenizer = make_tokenizer()
        model = make_model(tokenizer)
        train(model, tokenizer, options.steps, options.batch, options.rate)
        model.generation_config = GenerationConfig(
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            do_sample=False,
            max_new_tokens=LONGEST + 2,
        )
        model.save_pretrained(options.model)
        tokenizer.save_pretrained(options.model)
    if not check(options.model):
        sys.exit("error: some inputs are answered wrongly")


if __name__ == "__main__":
    main()
