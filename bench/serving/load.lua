-- What wrk sends: reads of a service (SERVICE) for random users. From the environment: the server
-- that is asked (SIDE), entities of one request (ENTITIES), users (USERS), and the form of the
-- answer (ACCEPT).
local side = os.getenv("SIDE")
local entities = tonumber(os.getenv("ENTITIES"))
local users = tonumber(os.getenv("USERS"))
local service = os.getenv("SERVICE")
local forms = {
  evenkeel = {"/v1/features", '{"service":"' .. service .. '","entities":{"user_id":[%s]}}'},
  feast = {"/get-online-features", '{"feature_service":"' .. service .. '","entities":{"user_id":[%s]}}'},
  nginx = {"/", "%s"},
}
local path, body = forms[side][1], forms[side][2]

wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = os.getenv("ACCEPT")
math.randomseed(7)

request = function()
  local ids = {}
  for i = 1, entities do
    ids[i] = math.random(0, users - 1)
  end
  return wrk.format(nil, path, nil, string.format(body, table.concat(ids, ",")))
end
