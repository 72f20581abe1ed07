"""Decoding: rows that are finished leave the model, and nobody's tokens change."""

import pytest
import torch
import transformers

from labelmill.engines.pytorch.decoding import Decoding


def test_rows_whose_state_cannot_be_cut_stay_and_write_the_same():
    """A layer of Falcon-H1 has both keys, which can be, and a recurrent state."""
    torch.manual_seed(0)
    config = transformers.FalconH1Config(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=48, head_dim=8, mamba_d_ssm=64, mamba_n_heads=4,
        mamba_d_head=16, mamba_n_groups=1, mamba_d_state=8, mamba_chunk_size=8,
        eos_token_id=[*range(2, 12)], pad_token_id=0,
    )  # fmt: skip
    model = transformers.FalconH1ForCausalLM(config).eval()
    ids = torch.randint(12, 40, (16, 6))
    how = {"attention_mask": torch.ones_like(ids), "max_new_tokens": 24, "do_sample": False}
    expected = model.generate(ids, **how)
    decoding = Decoding()
    assert torch.equal(model.generate(ids, custom_generate=decoding, **how), expected)
    assert len(set(decoding.ends.tolist())) > 1


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
