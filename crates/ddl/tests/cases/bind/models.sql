CREATE ENTITY customer (customer BIGINT);
CREATE STREAM payments (customer BIGINT, amount DECIMAL(10, 2), country STRING, at TIMESTAMP, EVENT TIME at);
CREATE MODEL risk FROM 'models/risk.onnx' CLASS 1 COMMENT 'who pays back';
CREATE STREAM scores AS SELECT customer, predict(risk, amount, 1, country) AS score FROM payments;

--- good: a model is called in views of every kind
CREATE FEATURE VIEW spent ENTITY customer AS
SELECT predict(risk, sum(amount) OVER (LAST 30 DAYS), count(*) OVER (LAST 30 DAYS), 'de') AS score FROM payments;
CREATE FEATURE VIEW scored ENTITY customer AS
SELECT amount, predict(risk, amount, 3, country) AS score FROM payments
WHERE predict(risk, amount, NULL, country) > 0.5;
CREATE ON DEMAND FEATURE VIEW asked ENTITY customer REQUEST (amount DOUBLE, country STRING) AS
SELECT predict(risk, request.amount - s.score, 1, request.country) AS score FROM spent s;
CREATE SEGMENT risky AS SELECT customer FROM spent WHERE predict(risk, score, 1, 'de') > 0.9;
CREATE STREAM more_scores AS SELECT customer, predict(risk, amount, 1, country) AS score FROM payments;

--- good: an aggregate over scores
CREATE FEATURE VIEW greatest ENTITY customer AS
SELECT max(predict(risk, amount, 1, country)) OVER (LAST 3 DAYS) AS score FROM payments;

--- the file
CREATE MODEL a FROM 'b.onnx';
CREATE MODEL c FROM 'models/risk.onnx' DIGEST 'abc';
CREATE MODEL d;
CREATE MODEL e FROM 'models/risk.onnx' CLASS x;
CREATE MODEL risk FROM 'models/risk.onnx';
CREATE FEATURE VIEW v ENTITY customer AS SELECT predict(a, 1) AS x FROM payments;

--- calls that are none
CREATE FEATURE VIEW v ENTITY customer AS SELECT
  predict(risk, amount) AS a,
  predict(risk, amount, country, 1) AS b,
  predict(rsik, amount) AS c,
  predict() AS d,
  predict('risk', amount) AS e,
  predict(payments.risk, amount) AS f,
  predict(risk, amuont, 1, country) AS g
FROM payments;

--- where nothing may be called
CREATE STREAM t (x DOUBLE, y FLOAT AS (predict(risk, x, 1, 'a')), at TIMESTAMP, EVENT TIME at, CHECK (predict(risk, x, 1, 'a') > 0));
CREATE FEATURE VIEW v (score DEFAULT predict(risk, 1, 1, 'a')) ENTITY customer AS SELECT predict(risk, amount, 1, country) AS score FROM payments;

--- changed good: another answer is another version of what asks for it
CREATE ENTITY customer (customer BIGINT);
CREATE STREAM payments (customer BIGINT, amount DECIMAL(10, 2), country STRING, at TIMESTAMP, EVENT TIME at);
CREATE MODEL risk FROM 'models/risk.onnx' CLASS 12 COMMENT 'who pays back';

--- changed: what a derived stream that emits calls
CREATE ENTITY customer (customer BIGINT);
CREATE STREAM payments (customer BIGINT, amount DECIMAL(10, 2), country STRING, at TIMESTAMP, EVENT TIME at);
CREATE MODEL risk FROM 'models/risk.onnx' CLASS 12;
CREATE STREAM scores AS SELECT customer, predict(risk, amount, 1, country) AS score FROM payments;
