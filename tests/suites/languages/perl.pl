# Redis.pm.
use strict;
use warnings;
use Redis;

sub check { my ($holds, $what) = @_; die "wrong: $what\n" unless $holds }

my $c = Redis->new(server => "127.0.0.1:$ARGV[0]", encoding => undef);
my $binary = "a\0\r\nb";

check($c->set(k => $binary) eq 'OK', 'SET');
check($c->get('k') eq $binary, 'GET');

my @replies;
$c->incr('n', sub { push @replies, $_[0] }) for 1 .. 100;
$c->wait_all_responses;
check(@replies == 100 && $replies[99] == 100, 'pipeline');

check($c->hset('h', f => 1, g => 2) == 2, 'HSET');
my %hash = $c->hgetall('h');
check($hash{f} == 1 && $hash{g} == 2, 'HGETALL');

check($c->rpush('l', qw(a b c)) == 3, 'RPUSH');
check(join(',', $c->lrange('l', 1, -1)) eq 'b,c', 'LRANGE');

check($c->zadd('z', 2.5, 'b', 1, 'a') == 2, 'ZADD');
check(join(',', $c->zrange('z', 0, -1, 'WITHSCORES')) eq 'a,1,b,2.5', 'ZRANGE');

my $subscriber = Redis->new(server => "127.0.0.1:$ARGV[0]");
my $message = '';
$subscriber->subscribe('news', sub { $message = $_[0] });
check($c->publish('news', 'hello') == 1, 'PUBLISH');
$subscriber->wait_for_messages(5) while $message eq '';
check($message eq 'hello', 'message');

my @result = $c->eval("return {KEYS[1], ARGV[1], redis.call('INCR', 'n')}", 1, 'k', 'x');
check($result[1] eq 'x' && $result[2] == 101, 'EVAL');

check($c->xadd('s', '*', 'f', 'v') =~ /^\d+-\d+$/, 'XADD');
my @entries = $c->xrange('s', '-', '+');
check(@entries == 1 && $entries[0][1][1] eq 'v', 'XRANGE');

$c->multi;
$c->incr('n');
$c->get('n');
my @done = $c->exec;
check($done[0] == 102 && $done[1] eq '102', 'EXEC');

check(!eval { $c->lpush('k', 'x'); 1 } && $@ =~ /WRONGTYPE/, 'error');
