#!/usr/bin/env escript
%%! -noshell
%% Server and client over the DTLS of Erlang/OTP, for `TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256` above all, which nobody else
%% has. `erlang SUITE` serves: it writes its port, and sends back what it hears. `erlang client PORT SUITE` says in a
%% line when there is a session, sends every line of its standard input with its end, writes what comes to its standard
%% output, and says goodbye when its input ends. SUITE is `psk` or `ecdhe`.

main(Arguments) ->
    {ok, _} = application:ensure_all_started(ssl),
    %% Lines leave as they come.
    ok = io:setopts([{encoding, latin1}]),
    try run(Arguments) of
        ok -> halt(0)
    catch
        throw:{no_session, Why} ->
            io:format("no session: ~0p~n", [Why]),
            halt(1)
    end.

run(["client", Port | How]) -> visit(list_to_integer(Port), How);
run(How) -> serve(How).

options(How) ->
    [{protocol, dtls}, {versions, ['dtlsv1.2']}, binary, {log_level, none} | credential(How)].

credential(["psk"]) -> psk(psk);
credential(["ecdhe"]) -> psk(ecdhe_psk).

psk(Exchange) ->
    %% A client is asked by the hint, and ours gives none.
    Lookup = fun(psk, Name, Key) when Name =:= <<"device-1">>; Name =:= <<>>; Name =:= undefined -> {ok, Key};
                (psk, _, _) -> error
             end,
    [{ciphers, [suite(Exchange)]}, {psk_identity, "device-1"},
     {user_lookup_fun, {Lookup, <<"0123456789abcdef">>}}].

suite(Exchange) ->
    #{key_exchange => Exchange, cipher => aes_128_ccm_8, mac => aead, prf => prf(Exchange)}.

prf(ecdhe_psk) -> sha256;
prf(psk) -> default_prf.

serve(How) ->
    {ok, Listener} = ssl:listen(0, [{ip, {127, 0, 0, 1}}, {active, false} | options(How)]),
    {ok, {_, Port}} = ssl:sockname(Listener),
    io:format("~b~n", [Port]),
    serve_next(Listener).

serve_next(Listener) ->
    {ok, Transport} = ssl:transport_accept(Listener),
    case ssl:handshake(Transport) of
        {ok, Session} ->
            spawn(fun() -> echo(Session) end);
        {error, Why} ->
            io:format("no session: ~0p~n", [Why])
    end,
    serve_next(Listener).

echo(Session) ->
    case ssl:recv(Session, 0) of
        {ok, Payload} ->
            ok = ssl:send(Session, Payload),
            echo(Session);
        {error, _} -> ok
    end.

visit(Port, How) ->
    Options = [{active, true} | options(How)],
    case ssl:connect({127, 0, 0, 1}, Port, Options, 20000) of
        {ok, Session} ->
            io:format("new session~n"),
            Self = self(),
            spawn_link(fun() -> read_lines(Self) end),
            talk(Session);
        {error, Why} -> throw({no_session, Why})
    end.

read_lines(Owner) ->
    case io:get_line(standard_io, "") of
        eof -> Owner ! input_ended;
        Line ->
            Owner ! {line, Line},
            read_lines(Owner)
    end.

talk(Session) ->
    receive
        {line, Line} ->
            ok = ssl:send(Session, Line),
            talk(Session);
        {ssl, Session, Payload} ->
            io:put_chars(Payload),
            talk(Session);
        {ssl_closed, Session} -> ok;
        {ssl_error, Session, Why} -> throw({no_session, Why});
        input_ended -> ssl:close(Session)
    end.
