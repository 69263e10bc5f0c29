"""A store is one module and one row: the daemon waits for its file, registers with it, and notices that it changed."""

from __future__ import annotations

from tests.processes.board import Board, Daemon


def test_a_store_of_one_module_and_one_row_works_in_the_daemon(board: Board) -> None:
    board.daemon = "tests.processes.backwards_store"
    board.set_credential(store="backwards", primary_key_file=f"{board.folder}/backwards")
    with Daemon(board) as daemon:
        daemon.await_status("credential-missing")
        board.put_secret("backwards", board.secret[::-1])
        daemon.await_notified("READY=1")
    with Daemon(board) as daemon:
        daemon.await_notified("READY=1")
        assert board.status()["attempt"] == 0
    board.put_secret("backwards", board.secret)
    with Daemon(board) as daemon:
        daemon.await_status("credential-invalid")
