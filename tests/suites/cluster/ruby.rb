# redis-rb's cluster client.

require "redis"

KEYS = 30
addresses, name = ARGV[0].split(","), ARGV[1]
$stdout.sync = true
over = false
Thread.new { $stdin.read; over = true }
client = Redis.new(cluster: addresses.map { |address| "redis://#{address}" }, timeout: 1)
known, unsure, done, turn = Hash.new(0), Hash.new(0), 0, 0
until over
  key = "#{name}:#{turn % KEYS}"
  turn += 1
  begin
    value = client.incr(key)
  rescue StandardError => e
    puts "error #{e.class} #{e.message}"
    unsure[key] += 1
    sleep 0.05
    next
  end
  least = known[key] + 1
  puts "wrong #{key} is #{value} and must be #{least}" unless value.between?(least, least + unsure[key])
  unsure[key] = 0
  known[key] = value
  done += 1
  puts "at #{done}" if (done % 50).zero?
end
known.each do |key, value|
  found = client.get(key).to_i
  puts "wrong #{key} is #{found} and was #{value}" unless found == value
end
puts "over #{done}"
