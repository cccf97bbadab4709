"""Small tokenizers of every kind that the generated C supports, trained on the test text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

TEXT = Path(__file__).resolve().parent.parent / "data" / "scripts.txt"

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
    r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
BLOOM = r" ?[^(\s|[.,!?…。，、।۔،])]+"


def read_text() -> str:
    """Return the test text with its line ends as they are."""
    return TEXT.read_bytes().decode()


def lines() -> list[str]:
    return read_text().splitlines(keepends=True)


def _train(tokenizer: Tokenizer, size: int, alphabet: bool, special: list[str]) -> Tokenizer:
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet else [],
        limit_alphabet=150 if not alphabet else 1000,
    )
    tokenizer.train_from_iterator(lines() * 2, trainer)
    return tokenizer


def _byte_level(
    *splits: pre_tokenizers.PreTokenizer, last: pre_tokenizers.PreTokenizer
) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, last]) if splits else last
    tokenizer.decoder = decoders.ByteLevel()
    return _train(tokenizer, 900, True, ["<|endoftext|>", "<|begin|>", "<|end|>"])


def _split(pattern: str, behavior: str = "isolated") -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(pattern), behavior)


def gpt2() -> Tokenizer:
    return _byte_level(last=pre_tokenizers.ByteLevel(add_prefix_space=False))


def gpt2_prefix() -> Tokenizer:
    tokenizer = _byte_level(last=pre_tokenizers.ByteLevel(add_prefix_space=True))
    tokenizer.post_processor = processors.RobertaProcessing(("<|end|>", 2), ("<|begin|>", 1))
    return tokenizer


def llama3() -> Tokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = _byte_level(_split(LLAMA3), last=plain)
    # Tokens that no merge makes, which ignore_merges finds all the same.
    model = tokenizer.model
    vocabulary = {**tokenizer.get_vocab(), "zebra": 900, "Ġwhole": 901, "ĠÃłÃŁ": 902}
    merges = _merges(tokenizer)
    tokenizer.model = models.BPE(vocabulary, merges, ignore_merges=True)
    assert model is not None
    template = processors.TemplateProcessing(
        single="<|begin|> $A", special_tokens=[("<|begin|>", 1)]
    )
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), template]
    )
    return tokenizer


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    return [(a, b) for a, b in json.loads(tokenizer.to_str())["model"]["merges"]]


def qwen2() -> Tokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer = _byte_level(_split(QWEN2), last=plain)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_tokens([AddedToken("<tool_é>", normalized=True)])
    return tokenizer


def o200k() -> Tokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _byte_level(_split(O200K), last=plain)


def cl100k() -> Tokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _byte_level(_split(CL100K), last=plain)


def bloom() -> Tokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return _byte_level(_split(BLOOM), last=plain)


def starcoder() -> Tokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return _byte_level(pre_tokenizers.Digits(individual_digits=True), last=plain)


def deepseek() -> Tokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    splits = [_split(r"\p{N}{1,3}"), _split("[一-龥぀-ゟ゠-ヿ]+"), _split(DEEPSEEK)]
    return _byte_level(*splits, last=plain)


def _sentencepiece(size: int = 700, fallback: bool = True, **options: bool) -> Tokenizer:
    """Return a model whose vocabulary has all bytes, as SentencePiece's has."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    _train(trained, size, False, ["<unk>", "<s>", "</s>"])
    vocabulary = trained.get_vocab()
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)] if fallback else []
    for token in bytes_:
        vocabulary[token] = len(vocabulary)
    tokenizer = Tokenizer(
        models.BPE(
            vocabulary, _merges(trained), unk_token="<unk>", byte_fallback=fallback, **options
        )
    )
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def _leading_space() -> decoders.Decoder:
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence([*parts, decoders.Strip(" ", 1, 0)])


def llama2() -> Tokenizer:
    tokenizer = _sentencepiece(fuse_unk=True)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    tokenizer.decoder = _leading_space()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


def gemma() -> Tokenizer:
    tokenizer = _sentencepiece(fuse_unk=True)
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    tokenizer.decoder = decoders.Sequence(parts)
    return tokenizer


def metaspace_first() -> Tokenizer:
    tokenizer = _sentencepiece(fallback=False, fuse_unk=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    tokenizer.add_tokens(
        [
            AddedToken("<mask>", lstrip=True, normalized=False),
            AddedToken("<sep>", rstrip=True, lstrip=True, normalized=True),
        ]
    )
    return tokenizer


def single_word() -> Tokenizer:
    tokenizer = metaspace_first()
    tokenizer.add_tokens([AddedToken("block", single_word=True, normalized=False)])
    tokenizer.add_tokens([AddedToken("the", single_word=True, rstrip=True)])
    return tokenizer


def fused_unknown() -> Tokenizer:
    """Unknown characters of a vocabulary with half of the byte tokens."""
    tokenizer = _sentencepiece(fuse_unk=True)
    vocabulary = {t: i for t, i in tokenizer.get_vocab().items() if not t.startswith("<0x8")}
    model = models.BPE(
        vocabulary, _merges(tokenizer), unk_token="<unk>", fuse_unk=True, byte_fallback=True
    )
    tokenizer.model = model
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("contiguous")]
    )
    return tokenizer


def words() -> Tokenizer:
    tokenizer = _sentencepiece(fallback=False, fuse_unk=True)
    splits = [
        pre_tokenizers.Whitespace(),
        pre_tokenizers.Digits(individual_digits=False),
        pre_tokenizers.CharDelimiterSplit("x"),
        _split("[aeiou]{1,2}", "merged_with_next"),
        _split("(?:th|s)(?:e|h)?", "merged_with_previous"),
        pre_tokenizers.Split(Regex(r"\p{Lu}++"), "contiguous", invert=True),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(splits)
    tokenizer.normalizer = normalizers.Replace(Regex(r"\p{Sc}{1,2}|q+u"), " money ")
    return tokenizer


def bert_words() -> Tokenizer:
    tokenizer = _sentencepiece(fallback=False, fuse_unk=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


KINDS: dict[str, Callable[[], Tokenizer]] = {
    f.__name__: f
    for f in (
        gpt2, gpt2_prefix, llama3, qwen2, o200k, deepseek, cl100k, bloom, starcoder, llama2, gemma,
        metaspace_first, single_word, fused_unknown, words, bert_words,
    )
}  # fmt: skip
