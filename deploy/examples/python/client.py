#!/usr/bin/env python3
"""A client of the central server's API in Python (see deploy/INTEGRATING.md).

It needs `grpcio`, and the stubs that `grpcio-tools` makes of the two .proto files:

    python3 -m venv venv && venv/bin/pip install grpcio grpcio-tools
    venv/bin/python -m grpc_tools.protoc -I proto --python_out=stubs --grpc_python_out=stubs \
        proto/gateway.proto proto/admin.proto
    PYTHONPATH=stubs venv/bin/python client.py --help

Copy what you need: `Portcullis` is the client, the rest is a small command line around it.
"""

import argparse
import os
import sys
import time
import uuid

import admin_pb2 as admin
import admin_pb2_grpc as services
import gateway_pb2 as gateway
import grpc

SOCKET = "/run/portcullis/admin.sock"
# How long the gateway may take for one call, and how much longer this side waits for the answer:
# the server itself waits ten seconds longer than the gateway may take.
CALL_SECONDS = 60
MORE_SECONDS = 20

# What `grpc` itself says where it has lost the server, or waited long enough: the request may have
# arrived. The server answers with none of these.
NOBODY_KNOWS = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
}
# `portcullis-kind` of errors that pass by themselves: nothing was done, and the same request may
# be sent again.
PASSING = {"unavailable", "busy"}
# The same of calls that the gateway did not begin.
NOT_BEGUN = {gateway.FAILURE_KIND_UNAVAILABLE, gateway.FAILURE_KIND_BUSY}
# How a queued call ends that was not sent.
NEVER_SENT = {admin.QUEUED_STATE_CANCELLED, admin.QUEUED_STATE_EXPIRED}


class CallFailed(Exception):
    """The resource said no: nothing has changed there."""

    def __init__(self, failure):
        super().__init__(failure.message)
        self.kind = failure.kind


class Indeterminate(Exception):
    """Nobody knows whether the call was carried out: look, then decide."""


def kind_of(error):
    """The server's own word for an error; None: the server did not answer."""
    return dict(error.trailing_metadata() or ()).get("portcullis-kind")


class Portcullis:
    """The API behind a Unix socket."""

    def __init__(self, socket=SOCKET):
        # Without the option, grpcio sends the socket's path as the `:authority` of each request,
        # and the server refuses that as HTTP/2 demands.
        options = [("grpc.default_authority", "localhost")]
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=options)
        self.calls = services.CallsStub(self.channel)

    def execute(self, resource, call):
        """Carries out one call: its `Done`."""
        call.timeout_ms = CALL_SECONDS * 1000
        request = admin.ExecuteRequest(resource=resource, call=call)
        outcome = self.calls.Execute(request, timeout=CALL_SECONDS + MORE_SECONDS)
        return done(outcome)

    def find_account(self, resource, name):
        """The account of this name; None: there is none."""
        call = gateway.Call(call_id=new_id(), get=gateway.Get(object=account(name)))
        try:
            return self.execute(resource, call).object
        except CallFailed as failed:
            if failed.kind == gateway.FAILURE_KIND_NOT_FOUND:
                return None
            raise

    def create_account(self, resource, name, attributes, call_id, begun_before, attempts=5):
        """Creates an account once, whatever breaks on the way.

        `call_id` was written down before this is called, and stays the same until it is known what
        came of it: as long as the server remembers it, the same call under it is made once.
        `begun_before`: this process is not the first to try.
        """
        doubtful = begun_before
        for attempt in range(attempts):
            if attempt:
                time.sleep(min(0.2 * 2**attempt, 5))
            create = gateway.Create(object_class=gateway.OBJECT_CLASS_ACCOUNT, name=name)
            for key, value in attributes.items():
                create.attributes.add(name=key).values.add(text=value)
            try:
                return self.execute(resource, gateway.Call(call_id=call_id, create=create)).object
            except CallFailed as failed:
                # An earlier attempt may have made it.
                if doubtful and failed.kind == gateway.FAILURE_KIND_ALREADY_EXISTS:
                    return self.find_account(resource, name)
                if failed.kind not in NOT_BEGUN:
                    raise
            except Indeterminate:
                found = self.find_account(resource, name)
                if found is None:
                    raise
                return found
            except grpc.RpcError as error:
                if error.code() in NOBODY_KNOWS:
                    doubtful = True
                elif kind_of(error) not in PASSING:
                    raise
        raise Indeterminate(f"call {call_id}: no answer after {attempts} attempts")

    def search(self, resource, page_size=100):
        """Every account, page by page."""
        search = gateway.Search(object_class=gateway.OBJECT_CLASS_ACCOUNT, page_size=page_size)
        while True:
            call = gateway.Call(call_id=new_id(), search=search)
            call.timeout_ms = CALL_SECONDS * 1000
            request = admin.ExecuteRequest(resource=resource, call=call)
            end = None
            for item in self.calls.Search(request, timeout=CALL_SECONDS + MORE_SECONDS):
                if item.HasField("object"):
                    yield item.object
                else:
                    end = item.end
            # A stream without its end was cut.
            if end is None:
                raise Indeterminate("the search broke off")
            if end.HasField("failure"):
                raise CallFailed(end.failure)
            if not end.next_cookie:
                return
            search.cookie = end.next_cookie

    def enqueue(self, resource, call):
        """Queues a call. The same call under the same id again is the call that there is, also
        after a restart of the server: this is safe to repeat."""
        request = admin.ExecuteRequest(resource=resource, call=call)
        return self.calls.Enqueue(request, timeout=MORE_SECONDS)

    def wait_for(self, call_id, seconds):
        """Waits until a queued call has ended, also while the server is started again: its `Done`."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            try:
                request = admin.WatchQueuedRequest(call_id=call_id)
                for queued in self.calls.WatchQueued(request, timeout=left):
                    if queued.HasField("outcome"):
                        return done(queued.outcome)
                    if queued.state in NEVER_SENT:
                        state = admin.QueuedState.Name(queued.state)
                        raise CallFailed(gateway.Failure(message=f"not sent: {state}"))
            except grpc.RpcError as error:
                if error.code() not in NOBODY_KNOWS:
                    raise
            # The server stops, or is away.
            time.sleep(0.2)
        raise TimeoutError(f"call {call_id} still waits")


def done(outcome):
    """What was done, or the exception for what was not."""
    match outcome.WhichOneof("result"):
        case "done":
            return outcome.done
        case "failed":
            raise CallFailed(outcome.failed)
        case _:
            raise Indeterminate(outcome.indeterminate.message)


def account(name):
    """An account, by its name."""
    return gateway.ObjectRef(object_class=gateway.OBJECT_CLASS_ACCOUNT, name=name)


def new_id():
    """An id that no other call has."""
    return f"py-{uuid.uuid4()}"


def remembered_id(path):
    """The call id that stands in a file, and whether it stood there already. A new one is on the
    disk before anything is sent under it."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip(), True
    except FileNotFoundError:
        pass
    call_id = new_id()
    with open(f"{path}.new", "w", encoding="ascii") as file:
        file.write(call_id)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{path}.new", path)
    return call_id, False


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description="Accounts behind a Portcullis server.")
    parser.add_argument("--socket", default=SOCKET)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="create an account, once")
    create.add_argument("resource")
    create.add_argument("name")
    create.add_argument("attributes", nargs="*", metavar="NAME=VALUE")
    create.add_argument("--id-file", required=True, help="where the call id survives a crash")
    search = commands.add_parser("search", help="list accounts")
    search.add_argument("resource")
    search.add_argument("--page-size", type=int, default=100)
    disable = commands.add_parser("disable", help="queue that an account is disabled, and wait")
    disable.add_argument("resource")
    disable.add_argument("name")
    disable.add_argument("--call-id", required=True)
    disable.add_argument("--wait", type=float, default=60)
    args = parser.parse_args()
    portcullis = Portcullis(args.socket)
    try:
        run(portcullis, args)
    except grpc.RpcError as error:
        sys.exit(f"error ({kind_of(error) or error.code().name}): {error.details()}")
    except CallFailed as failed:
        sys.exit(f"failed: {failed}")
    except (Indeterminate, TimeoutError) as error:
        print(f"nobody knows: {error}", file=sys.stderr)
        sys.exit(3)


def run(portcullis, args):
    """One command."""
    match args.command:
        case "create":
            attributes = dict(one.split("=", 1) for one in args.attributes)
            call_id, begun_before = remembered_id(args.id_file)
            made = portcullis.create_account(
                args.resource, args.name, attributes, call_id, begun_before
            )
            print(made.name, made.id)
            # Only now: what came of it is known.
            os.unlink(args.id_file)
        case "search":
            for found in portcullis.search(args.resource, args.page_size):
                print(found.name, found.id)
        case "disable":
            disable = gateway.Disable(object=account(args.name))
            call = gateway.Call(call_id=args.call_id, disable=disable)
            queued = portcullis.enqueue(args.resource, call)
            print("queued", queued.call_id, queued.sequence)
            print("disabled", portcullis.wait_for(args.call_id, args.wait).object.name)


if __name__ == "__main__":
    main()
