ALTER TABLE account ADD COLUMN gone boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN account.gone IS 'deleted, but for the tasks that name it still: nobody sees it any more';
CREATE INDEX account_gone ON account (id) WHERE gone;
