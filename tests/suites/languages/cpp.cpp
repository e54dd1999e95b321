// Poco.
#include <Poco/Redis/Array.h>
#include <Poco/Redis/AsyncReader.h>
#include <Poco/Redis/Client.h>
#include <Poco/Redis/Command.h>
#include <Poco/Redis/Exception.h>

#include <cstdlib>
#include <iostream>
#include <string>

using namespace Poco::Redis;

static void check(bool holds, const char *what) {
    if (!holds) {
        std::cerr << "wrong: " << what << "\n";
        std::exit(1);
    }
}

static Array command(std::initializer_list<std::string> words) {
    Array all;
    for (const auto &word : words) all.add(word);
    return all;
}

int main(int argc, char **argv) {
    check(argc == 2, "usage: PORT");
    Client client("127.0.0.1", std::atoi(argv[1]));
    const std::string binary("a\0\r\nb", 5);

    check(client.execute<std::string>(Command::set("k", binary)) == "OK", "SET");
    check(client.execute<BulkString>(Command::get("k")).value() == binary, "GET");

    std::vector<Array> pipeline(100, command({"INCR", "n"}));
    Array replies = client.sendCommands(pipeline);
    check(replies.size() == 100 && replies.get<Poco::Int64>(99) == 100, "pipeline");

    check(client.execute<Poco::Int64>(command({"HSET", "h", "f", "1", "g", "2"})) == 2, "HSET");
    Array hash = client.execute<Array>(Command::hgetall("h"));
    check(hash.size() == 4 && hash.get<BulkString>(3).value() == "2", "HGETALL");

    check(client.execute<Poco::Int64>(command({"RPUSH", "l", "a", "b", "c"})) == 3, "RPUSH");
    Array list = client.execute<Array>(Command::lrange("l", 1, -1));
    check(list.size() == 2 && list.get<BulkString>(0).value() == "b", "LRANGE");

    check(client.execute<Poco::Int64>(command({"ZADD", "z", "2.5", "b", "1", "a"})) == 2, "ZADD");
    Array range = client.execute<Array>(command({"ZRANGE", "z", "0", "-1", "WITHSCORES"}));
    check(range.size() == 4 && range.get<BulkString>(3).value() == "2.5", "ZRANGE");

    Client subscriber("127.0.0.1", std::atoi(argv[1]));
    Array confirmed = subscriber.execute<Array>(command({"SUBSCRIBE", "news"}));
    check(confirmed.size() == 3 && confirmed.get<Poco::Int64>(2) == 1, "SUBSCRIBE");
    check(client.execute<Poco::Int64>(command({"PUBLISH", "news", "hello"})) == 1, "PUBLISH");
    Array message;
    subscriber.readReply<Array>(message);
    check(message.size() == 3 && message.get<BulkString>(2).value() == "hello", "message");

    Array result = client.execute<Array>(
        command({"EVAL", "return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}", "1", "k", "x"}));
    check(result.get<BulkString>(1).value() == "x" && result.get<Poco::Int64>(2) == 101, "EVAL");

    check(client.execute<BulkString>(command({"XADD", "s", "*", "f", "v"})).value().find('-') != std::string::npos, "XADD");
    check(client.execute<Array>(command({"XRANGE", "s", "-", "+"})).size() == 1, "XRANGE");

    check(client.execute<std::string>(command({"MULTI"})) == "OK", "MULTI");
    check(client.execute<std::string>(Command::incr("n")) == "QUEUED", "QUEUED");
    check(client.execute<std::string>(Command::get("n")) == "QUEUED", "QUEUED");
    Array done = client.execute<Array>(command({"EXEC"}));
    check(done.get<Poco::Int64>(0) == 102 && done.get<BulkString>(1).value() == "102", "EXEC");

    try {
        client.execute<Poco::Int64>(command({"LPUSH", "k", "x"}));
        check(false, "error");
    } catch (RedisException &error) {
        check(error.message().rfind("WRONGTYPE", 0) == 0, "error");
    }
    return 0;
}
