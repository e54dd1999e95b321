// hiredis.
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "wrong: %s\n", what);
        exit(1);
    }
}

static redisContext *connect_to(const char *port) {
    redisContext *c = redisConnect("127.0.0.1", atoi(port));
    check(c != NULL && !c->err, "connect");
    return c;
}

static int is_text(const redisReply *r, const char *text) {
    return r && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS) && strcmp(r->str, text) == 0;
}

static int is_number(const redisReply *r, long long number) {
    return r && r->type == REDIS_REPLY_INTEGER && r->integer == number;
}

static int is_array(const redisReply *r, size_t length) {
    return r && r->type == REDIS_REPLY_ARRAY && r->elements == length;
}

int main(int argc, char **argv) {
    check(argc == 2, "usage: PORT");
    redisContext *c = connect_to(argv[1]);
    redisReply *r;

    check(is_text(redisCommand(c, "SET k %b", "a\0\r\nb", (size_t)5), "OK"), "SET");
    r = redisCommand(c, "GET k");
    check(r && r->len == 5 && memcmp(r->str, "a\0\r\nb", 5) == 0, "GET");

    for (int i = 0; i < 100; i++) redisAppendCommand(c, "INCR n");
    for (int i = 1; i <= 100; i++) check(redisGetReply(c, (void **)&r) == REDIS_OK && is_number(r, i), "pipeline");

    check(is_number(redisCommand(c, "HSET h f 1 g 2"), 2), "HSET");
    r = redisCommand(c, "HGETALL h");
    check(is_array(r, 4) && is_text(r->element[0], "f") && is_text(r->element[3], "2"), "HGETALL");

    check(is_number(redisCommand(c, "RPUSH l a b c"), 3), "RPUSH");
    r = redisCommand(c, "LRANGE l 1 -1");
    check(is_array(r, 2) && is_text(r->element[0], "b"), "LRANGE");

    check(is_number(redisCommand(c, "ZADD z 2.5 b 1 a"), 2), "ZADD");
    r = redisCommand(c, "ZRANGE z 0 -1 WITHSCORES");
    check(is_array(r, 4) && is_text(r->element[0], "a") && is_text(r->element[3], "2.5"), "ZRANGE");

    redisContext *subscriber = connect_to(argv[1]);
    check(is_array(redisCommand(subscriber, "SUBSCRIBE news"), 3), "SUBSCRIBE");
    check(is_number(redisCommand(c, "PUBLISH news hello"), 1), "PUBLISH");
    check(redisGetReply(subscriber, (void **)&r) == REDIS_OK, "message");
    check(is_array(r, 3) && is_text(r->element[0], "message") && is_text(r->element[2], "hello"), "message");

    r = redisCommand(c, "EVAL %s 1 k x", "return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}");
    check(is_array(r, 3) && is_text(r->element[1], "x") && is_number(r->element[2], 101), "EVAL");

    r = redisCommand(c, "XADD s * f v");
    check(r && r->type == REDIS_REPLY_STRING && strchr(r->str, '-'), "XADD");
    r = redisCommand(c, "XRANGE s - +");
    check(is_array(r, 1) && is_array(r->element[0], 2) && is_array(r->element[0]->element[1], 2), "XRANGE");

    check(is_text(redisCommand(c, "MULTI"), "OK"), "MULTI");
    check(is_text(redisCommand(c, "INCR n"), "QUEUED"), "QUEUED");
    check(is_text(redisCommand(c, "GET n"), "QUEUED"), "QUEUED");
    r = redisCommand(c, "EXEC");
    check(is_array(r, 2) && is_number(r->element[0], 102) && is_text(r->element[1], "102"), "EXEC");

    r = redisCommand(c, "LPUSH k x");
    check(r && r->type == REDIS_REPLY_ERROR && strncmp(r->str, "WRONGTYPE", 9) == 0, "error");
    return 0;
}
