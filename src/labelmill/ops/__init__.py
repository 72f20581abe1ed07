"""Operations that others share: pure functions on numpy, Arrow, bytes and token ids."""
