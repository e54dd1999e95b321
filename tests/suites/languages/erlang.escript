#!/usr/bin/env escript
%% eredis.
main([Port]) ->
    {ok, C} = eredis:start_link("127.0.0.1", list_to_integer(Port)),
    Binary = <<"a\0\r\nb">>,
    {ok, <<"OK">>} = eredis:q(C, ["SET", "k", Binary]),
    {ok, Binary} = eredis:q(C, ["GET", "k"]),

    Replies = eredis:qp(C, lists:duplicate(100, ["INCR", "n"])),
    {ok, <<"100">>} = lists:last(Replies),

    {ok, <<"2">>} = eredis:q(C, ["HSET", "h", "f", "1", "g", "2"]),
    {ok, [<<"f">>, <<"1">>, <<"g">>, <<"2">>]} = eredis:q(C, ["HGETALL", "h"]),

    {ok, <<"3">>} = eredis:q(C, ["RPUSH", "l", "a", "b", "c"]),
    {ok, [<<"b">>, <<"c">>]} = eredis:q(C, ["LRANGE", "l", "1", "-1"]),

    {ok, <<"2">>} = eredis:q(C, ["ZADD", "z", "2.5", "b", "1", "a"]),
    {ok, [<<"a">>, <<"1">>, <<"b">>, <<"2.5">>]} = eredis:q(C, ["ZRANGE", "z", "0", "-1", "WITHSCORES"]),

    {ok, Subscriber} = eredis_sub:start_link("127.0.0.1", list_to_integer(Port), ""),
    ok = eredis_sub:controlling_process(Subscriber),
    ok = eredis_sub:subscribe(Subscriber, [<<"news">>]),
    receive {subscribed, <<"news">>, Subscriber} -> eredis_sub:ack_message(Subscriber) after 5000 -> halt(1) end,
    {ok, <<"1">>} = eredis:q(C, ["PUBLISH", "news", "hello"]),
    receive {message, <<"news">>, <<"hello">>, Subscriber} -> ok after 5000 -> halt(1) end,

    Script = "return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}",
    {ok, [<<"k">>, <<"x">>, <<"101">>]} = eredis:q(C, ["EVAL", Script, "1", "k", "x"]),

    {ok, Id} = eredis:q(C, ["XADD", "s", "*", "f", "v"]),
    {ok, [[Id, [<<"f">>, <<"v">>]]]} = eredis:q(C, ["XRANGE", "s", "-", "+"]),

    {ok, <<"OK">>} = eredis:q(C, ["MULTI"]),
    {ok, <<"QUEUED">>} = eredis:q(C, ["INCR", "n"]),
    {ok, <<"QUEUED">>} = eredis:q(C, ["GET", "n"]),
    {ok, [<<"102">>, <<"102">>]} = eredis:q(C, ["EXEC"]),

    {error, <<"WRONGTYPE", _/binary>>} = eredis:q(C, ["LPUSH", "k", "x"]).
