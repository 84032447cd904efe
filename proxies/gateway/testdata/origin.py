# An origin that reads with h11, which refuses whatever the grammar does not allow. It prints a line for each request, and for what it
# cannot read.
import json, os, socket, threading

import h11

lock = threading.Lock()


def say(**line):
    with lock:
        os.write(1, (json.dumps(line) + "\n").encode())


def serve(sock):
    conn, ended = h11.Connection(h11.SERVER, max_incomplete_event_size=256 << 10), False
    try:
        while True:
            length = 0
            while True:
                event = conn.next_event()
                if event is h11.NEED_DATA:
                    data = sock.recv(1 << 16)
                    ended = not data
                    conn.receive_data(data)
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    length += len(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    break
                else:  # closed between requests, or something that a client does not send
                    return
            say(method=request.method.decode(), target=request.target.decode("latin1"), length=length)
            head = request.method == b"HEAD"
            out = conn.send(h11.Response(status_code=200, reason=b"OK", headers=[("Content-Length", "2")]))
            out += b"" if head else conn.send(h11.Data(data=b"ok"))
            conn.send(h11.EndOfMessage())
            sock.sendall(out)
            if conn.our_state is not h11.DONE:
                return
            conn.start_next_cycle()
    except h11.RemoteProtocolError as wrong:
        say(cut=True) if ended else say(broken=str(wrong))
    except OSError:
        say(cut=True)
    finally:
        sock.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
say(address="127.0.0.1:%d" % listener.getsockname()[1])
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
