# Input: the text of docs/json.md as $doc; each line of stdin is a record. Prints one line for each
# way in which a record is not as it is described.
def schemas:
    reduce ($doc | split("\n")[]) as $line ({keys: [], out: {}};
        if $line | startswith("### ") then
            .keys = ($line[4:] | split(", ")) | reduce .keys[] as $key (.; .out[$key] = [])
        elif ($line | test("^\\| [a-z][a-z0-9_.\\[\\]]*\\?? \\| [a-z]")) and (.keys | length) > 0
            and ($line | startswith("| field") | not) then
            ($line | gsub("\\\\\\|"; "/") | split(" | ")) as $cells
            | {name: ($cells[0][2:] | rtrimstr("?")), optional: ($cells[0] | endswith("?")), types: ($cells[1] | rtrimstr(" |") | split("/"))} as $field
            | reduce .keys[] as $key (.; .out[$key] += [$field])
        else . end)
    | .out;

def name: reduce .[] as $step (""; if $step | type == "number" then . + "[]" elif . == "" then $step else . + "." + $step end);

def is($wanted):
    if $wanted == "integer" then (type == "number" and floor == . and fabs <= 9007199254740991)
        or (type == "string" and test("^-?[0-9]{16,20}$"))
    elif $wanted == "gci" then type == "string" and test("^[0-9]+$")
    elif $wanted == "uid" then type == "string" and test("^[0-9a-f]{32}$")
    elif $wanted == "time" then type == "string" and test("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$")
    else type == $wanted end;

def parent: if test("\\[\\]$") then .[:-2] elif test("\\.") then sub("\\.[^.]*$"; "") else "" end;

schemas as $schemas | . as $record
| ([.message_type, .operation | values] | join(" ")) as $key
| $schemas[$key] as $fields
| if $fields == null then "\($key): no such record"
  else
    ([$fields[] | {(.name): .}] | add) as $known
    | ([$fields[] | select(.types == ["any"]) | .name]) as $any
    | ([paths | . as $path | {name: name, path: $path}
        | select(.name as $n | all($any[]; . as $a | $n == $a or ($n | startswith($a + ".") or startswith($a + "[]")) | not))
        | select(.name != "message_type" and .name != "operation")]) as $found
    | ($found[] | .name as $n | .path as $p | ($record | getpath($p)) as $value
        | if $known[$n] == null then "\($key): \($n) is not described"
          elif any($known[$n].types[]; . as $t | $value | is($t)) then empty
          else "\($key): \($n) is \($value | tojson), not \($known[$n].types | join(" or "))" end),
      ($fields[] | select(.optional or (.name | endswith("[]")) | not) | . as $field | ($field.name | parent) as $up
        | ($field.name | if $up == "" then . else ltrimstr($up + ".") end) as $last
        | ([{name: "", path: []}] + $found | .[] | select(.name == $up)) as $place
        | ($record | getpath($place.path)) as $holder
        | select(($holder | type) == "object" and ($holder | has($last) | not))
        | "\($key): \($field.name) is missing")
  end
