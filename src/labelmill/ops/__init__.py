"""Operations that tasks, batching and stages share: pure functions on numpy, Arrow and token ids."""
