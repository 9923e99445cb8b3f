from rag_runtime.adapters.edge.worker import FLUSH_WHEN_IDLE_SECONDS, OPTIMIZE_WHEN_IDLE_SECONDS, Clock


def clock() -> Clock:
    made = Clock(flush_interval_sec=30)
    made.flushed(optimized=True)
    return made


def test_nothing_is_due_before_anything_was_written() -> None:
    quiet = clock()
    quiet.note(100.0, wrote=False)
    assert quiet.wait(100.0) is None


def test_a_write_is_flushed_when_it_is_quiet() -> None:
    wrote = clock()
    wrote.note(100.0, wrote=True)
    assert wrote.flush_due() == 100.0 + FLUSH_WHEN_IDLE_SECONDS
    wrote.note(100.5, wrote=False)
    assert wrote.flush_due() == 100.5 + FLUSH_WHEN_IDLE_SECONDS


def test_it_is_flushed_after_the_interval_even_when_it_is_never_quiet() -> None:
    busy = clock()
    for tenth in range(400):
        busy.note(100.0 + tenth / 10, wrote=True)
    assert busy.flush_due() == 130.0


def test_optimizing_waits_for_a_longer_quiet_and_happens_once() -> None:
    wrote = clock()
    wrote.note(100.0, wrote=True)
    assert wrote.optimize_due() == 100.0 + OPTIMIZE_WHEN_IDLE_SECONDS
    wrote.flushed(optimized=False)
    assert wrote.wait(101.0) == OPTIMIZE_WHEN_IDLE_SECONDS - 1
    wrote.flushed(optimized=True)
    assert wrote.wait(106.0) is None
