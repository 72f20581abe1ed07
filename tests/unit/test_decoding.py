"""Decoding: rows that are finished leave the model, and nobody's tokens change."""

import pytest
import torch
import transformers

from labelmill.engines.pytorch.decoding import Decoding


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_finished_rows_leave_the_model_and_the_others_write_the_same(penalty):
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=48, eos_token_id=[*range(2, 12)], pad_token_id=0,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    ids = torch.randint(12, 40, (16, 6))
    how = {
        "attention_mask": torch.ones_like(ids),
        "max_new_tokens": 40,
        "repetition_penalty": penalty,
        "do_sample": False,
    }
    expected = model.generate(ids, **how)
    sizes: list[int] = []
    model.register_forward_pre_hook(
        lambda _, __, kwargs: sizes.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    decoding = Decoding()
    found = model.generate(ids, custom_generate=decoding, **how)
    assert torch.equal(found, expected)
    assert sizes[0] == 16
    assert sizes[-1] <= 8
    assert sizes == sorted(sizes, reverse=True)
    for row, end in zip(found, decoding.ends.tolist(), strict=True):
        assert row[end - 1] in range(2, 12) or end == found.shape[1]
        assert not row[end:].any()
