"""Reading the blocks of a file in a thread."""

import threading

from icdcli.io.byte_stream import ByteStream


def test_the_thread_that_reads_may_also_end_the_reading(tmp_path):
    # As if it collected the garbage of a reader that nobody uses anymore.
    path = tmp_path / "n.csv"
    path.write_text("a\n")
    begun, ended = threading.Event(), []

    def examine(_):
        begun.wait()
        context.__exit__(None, None, None)
        ended.append(threading.current_thread())

    context = ByteStream(path, examine).blocks()
    context.__enter__()
    (thread,) = (one for one in threading.enumerate() if one.name == "reading n.csv")
    begun.set()
    thread.join()
    assert ended == [thread]
