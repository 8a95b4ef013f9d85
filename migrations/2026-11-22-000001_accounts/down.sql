DROP TABLE account;
DROP TABLE domain;
